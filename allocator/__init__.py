"""How many places of which public service, where, when, and who pays."""
