"""Models beside the champion: canaries and shadows, how they come, fare and go."""
