"""Processes: how serving starts, shares a port, is watched over, and ends."""
