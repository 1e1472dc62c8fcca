"""The history as what the model learns from: sequences, questions, windows, batches."""
