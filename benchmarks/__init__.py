"""What it can do: benchmarks of one form, which print a table and write a results file."""
