"""What is kept on-line of customers and items, through Feast: on SQLite or Redis."""
