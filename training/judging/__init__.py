"""How good models and baselines are, on the same questions."""
