"""Batching: who waits, who is answered together, and who is refused at once."""
