"""What the arms of an experiment have been worth to both sides, by the log of decisions."""
