"""The one door for files: tables, layers and settings in, run folders out."""
