"""How we learn: the sequence model, its training under Ray, evaluation and publishing."""
