"""Numbers beside the sequence: measures of customers and items, and whether decisions saw them."""
