"""The faults that are tried against the composed system, a file for what is attacked."""
