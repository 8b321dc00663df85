"""What cron runs; each is a sub-command of `hashsearch` too."""
