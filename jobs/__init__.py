"""What cron runs."""
