"""How a plan is found: the exact road and the price road."""
