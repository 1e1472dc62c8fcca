"""Whether it is time to train again, and why."""
