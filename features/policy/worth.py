"""Worth: what a candidate is expected to be worth to the customer and to the company.

The expected value of offering an item is the sum over interaction types of the probability that
the customer's next interaction is of that type and about the item, times what one of them is worth.

N candidates   T predicted types
"""

from dataclasses import dataclass

import numpy as np

from features.policy.declaration import Policy, PolicyError, TypeWorth
from features.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Worths:
    """What one interaction of each type is worth to either side, in the scale of the vocabulary."""

    customer_T: np.ndarray
    company_T: np.ndarray
    margin_T: np.ndarray  # of the item's price, to the company


@dataclass(frozen=True, slots=True)
class Expected:
    """What each candidate is expected to be worth."""

    customer_N: np.ndarray
    company_N: np.ndarray


def worths_of(policy: Policy, vocabulary: Vocabulary) -> Worths:
    """What the policy says of the predicted types, else the vocabulary; raises PolicyError."""
    if unknown := policy.values.keys() - vocabulary.types.keys():
        names = ", ".join(sorted(unknown))
        raise PolicyError(f"policy {policy.version}: values names unknown types: {names}")
    rows = [
        _row(policy.values.get(name, TypeWorth()), vocabulary, name)
        for name in vocabulary.predicted
    ]
    customer_T, company_T, margin_T = np.array(rows, np.float64).T
    return Worths(customer_T, company_T, margin_T)


def _row(said: TypeWorth, vocabulary: Vocabulary, name: str) -> tuple[float, float, float]:
    declared = vocabulary.types[name]
    customer = declared.customer_value if said.customer is None else said.customer
    company = declared.company_value if said.company is None else said.company
    return customer, company, said.margin


def ranking_weights(worths: Worths, policy: Policy) -> np.ndarray:
    """By what the model is to rank items before their prices count (T), float32, within -1 to 1."""
    weights = policy.weights
    weight_T = weights.customer * worths.customer_T + weights.company * worths.company_T
    most = np.abs(weight_T).max()
    return (weight_T / most if most else np.ones_like(weight_T)).astype(np.float32)


def expected(joint_NT: np.ndarray, price_N: np.ndarray, worths: Worths) -> Expected:
    """From P(type, item) and prices, 0 where there is none."""
    company_N = joint_NT @ worths.company_T
    if worths.margin_T.any():
        company_N = company_N + joint_NT @ worths.margin_T * price_N
    return Expected(joint_NT @ worths.customer_T, company_N)


def value_of(expected: Expected, policy: Policy) -> np.ndarray:
    """Of both sides (N), weighted; what attention costs is not off yet."""
    weights = policy.weights
    value_N: np.ndarray = (
        weights.customer * expected.customer_N + weights.company * expected.company_N
    )
    return value_N
