"""What a run tells people, on one page."""
