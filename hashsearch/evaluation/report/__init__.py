"""Result files of a comparison -> one page, Markdown, CSV and JSON."""
