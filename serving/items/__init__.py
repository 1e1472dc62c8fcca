"""Items: the catalog in memory, and which of it may be offered to whom."""
