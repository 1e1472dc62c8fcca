"""Models beside the champion: for a share of the customers, or asked and not shown."""
