"""How other people's files become interactions: one module a source, on the contract in reading."""
