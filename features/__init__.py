"""What we know: the one history of interactions, and the features made from it."""
