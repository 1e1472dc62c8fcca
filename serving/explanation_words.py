"""The words of explanations: what is said of each reason, of many items and of one."""

from features.policy.arms import Arm
from serving.items.removals import (
    EXCLUDED,
    FILTER,
    MUTED,
    NOT_ASKED_FOR,
    OWNED,
    RANKED_LOWER,
    RULE,
    UNAVAILABLE,
)
from serving.recording import FLOOR, LOW_VALUE

OFFERED, UNKNOWN_ITEM = "offered", "unknown-item"
WITHHELD = "withheld"  # it might have been offered, but nothing was
LESS_POPULAR = "less-popular"  # than what was offered without the model

KEPT_OUT = {
    UNAVAILABLE: "not available",
    NOT_ASKED_FOR: "not among those that were asked for",
    RULE: "kept out by a rule of the policy",
    FILTER: "kept out by the filter of the request",
    EXCLUDED: "excluded by the request or its placement",
    OWNED: "what the customer has already",
    MUTED: "muted by the customer",
    RANKED_LOWER: "less likely, so the model says, than those that were valued",
    FLOOR: "expected to harm the customer",
    LOW_VALUE: "not worth the attention that they would have cost",
}
ITEM = {
    UNKNOWN_ITEM: "the catalog holds no such item now",
    UNAVAILABLE: "it is not available, as the catalog stands now",
    NOT_ASKED_FOR: "it was not among the items that were asked for",
    RULE: "a rule of the policy does not let it through, as the catalog stands now",
    FILTER: "the filter of the request does not let it through, as the catalog stands now",
    EXCLUDED: "the request or its placement excluded it",
    OWNED: "the customer has it already",
    MUTED: "the customer has muted it, or what it would most probably lead to",
    RANKED_LOWER: "the model found others more likely: it was not among those that were valued",
    FLOOR: "it was expected to harm the customer, and such is never offered",
    LOW_VALUE: "it was not expected to be worth the attention that it would have cost",
    WITHHELD: "nothing was offered at all",
    LESS_POPULAR: "the model could not run, and others are more popular",
}
CHOSEN = (
    "worth less than what was offered",
    "it might have been offered, but others were worth more",
)
LIKELIER = (
    "less likely than what was offered",
    "it might have been offered, but others were more likely",
)
DRAWN = (
    "passed over by the lot, or worth less than what was offered",
    "it might have been offered, but the lot fell on others, or others were worth more",
)
SILENT = {
    "low-value": "nothing was expected to be worth more than silence",
    "fatigue": "the customer had been turned to often enough, or it was not the time",
    "no-consent": "the customer has not agreed to be turned to",
    "not-eligible": "there was nothing that might have been offered",
    "holdout": "the customer is one of those who are left alone, for comparison",
    "paused": "the customer had asked to be left alone for a time",
    "muted": "the customer wants no more of what might have been offered, or not here",
}

ARM = {
    Arm.NO_CONTACT: "is left alone, and answered without profile",
    Arm.NO_PERSONALIZATION: "is answered without profile",
    Arm.PROPENSITY_ONLY: "is offered what is most probable, whatever it is worth",
    Arm.RANDOM_ELIGIBLE: "is offered by lot what may be offered",
}
