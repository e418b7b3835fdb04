"""The one door for files: everything read or written passes here."""
