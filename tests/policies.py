"""A policy under which candidates rank by their probabilities, as the tiny model is no judge."""

from pathlib import Path

from features.vocabulary import load_vocabulary
from serving.policy.terms import PolicyFile, Terms

EVEN = Path(__file__).with_name("even.yaml")


def even_terms() -> Terms:
    """What follows from it for the usual vocabulary."""
    terms = PolicyFile(EVEN, load_vocabulary()).changed()
    assert terms is not None
    return terms
