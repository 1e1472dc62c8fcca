"""The policy, as far as serving decides and training judges by it: pure functions, and the file."""
