"""How other systems' events become interactions: one module a format, each a pure function."""
