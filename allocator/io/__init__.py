"""The one door for files: tables, layers, workbooks and YAML in; run folders out, atomically.

Readers return values or list every fault at once; nothing is evaluated, nothing leaves the folder.
"""
