"""The terms of a decision: a policy, and what follows from it for these interaction types.

T predicted types
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.declared import Declared
from features.policy.arms import Arm
from features.policy.declaration import Policy, PolicyError, declared_policy
from features.policy.worth import Worths, ranking_weights, worths_of
from features.vocabulary import Vocabulary
from serving.policy.contact_terms import (
    ContactTerms,
    contact_terms,
    stray_landings,
    unknown_types,
)
from serving.policy.rules import Rules, faulty_rules, rules_of


@dataclass(frozen=True, slots=True)
class Terms:
    """Made once for a policy, used by every decision while it holds."""

    policy: Policy
    worths: Worths
    weight_T: np.ndarray  # by what the model ranks
    contact: ContactTerms
    rules: Rules

    def weight_in(self, arm: Arm | None) -> np.ndarray:
        """By what the model ranks for customers of an arm."""
        return np.ones_like(self.weight_T) if arm is Arm.PROPENSITY_ONLY else self.weight_T


def terms_of(declared: Declared[Policy], vocabulary: Vocabulary) -> Terms:
    """Raises PolicyError."""
    policy = declared.content
    worths = worths_of(policy, vocabulary)
    if unknown := unknown_types(policy.contact, vocabulary):
        names = ", ".join(unknown)
        raise PolicyError(f"policy {policy.version}: contact names unknown types: {names}")
    misfits = stray_landings(policy.contact, vocabulary) + faulty_rules(policy, vocabulary)
    if misfits:
        raise PolicyError("\n".join(str(declared.fault(*each)) for each in misfits))
    contact = contact_terms(policy.contact, vocabulary)
    rules = rules_of(policy, vocabulary)
    return Terms(policy, worths, ranking_weights(worths, policy), contact, rules)


class PolicyFile:
    """A policy file, which may change at any time."""

    def __init__(self, path: Path, vocabulary: Vocabulary) -> None:
        """Reads nothing yet."""
        self._path, self._vocabulary = path, vocabulary
        self._seen: bytes | None = None

    def changed(self) -> Terms | None:
        """What it says, if that is not what it said the last time; raises PolicyError then."""
        try:
            content = self._path.read_bytes()
        except OSError as error:
            content, trouble = b"", f"{self._path} cannot be read: {error}"
        else:
            trouble = ""
        if content == self._seen:
            return None
        self._seen = content
        if trouble:
            raise PolicyError(trouble)
        return terms_of(declared_policy(content, self._path), self._vocabulary)
