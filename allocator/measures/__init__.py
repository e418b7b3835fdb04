"""What a plan is worth: use, coverage, equity and money, computed from plan and problem alone."""
