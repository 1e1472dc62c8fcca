"""The engine: one process that runs the model for all that answer calls."""
