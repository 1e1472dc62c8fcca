"""The history in Parquet: how it is written, kept in shape, and read as of a moment."""
