"""The search for better settings under Ray Tune."""
