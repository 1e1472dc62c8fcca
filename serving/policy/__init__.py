"""The policy: pure functions from scores to a decision, and the file that declares how."""
