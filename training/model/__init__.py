"""The model, and the loss that teaches it."""
