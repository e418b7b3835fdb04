"""What a plan is worth: coverage, equity, money and use, judged apart from the model."""
