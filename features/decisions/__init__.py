"""What was decided: logged beside the interactions, drained, explained, joined with its outcome."""
