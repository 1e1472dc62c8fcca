"""The training loop under Ray."""
