"""The command line: thin faces on the same functions a notebook calls."""
