"""How a policy would have fared, judged from decisions that another one took and logged."""
