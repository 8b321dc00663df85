"""What every report is made of: charts, style, words, tables, thumbnails."""
