"""Looking back: distances, and ages that stay exact beside gaps of years."""

import torch

from features.encoding import FIRST_ITEM_ROW, GAP, ITEM, TOKEN_FIELDS, TYPE
from training.model.attention import look_back


def tokens(gaps: list[int]) -> torch.Tensor:
    tokens_1LF = torch.zeros((1, len(gaps), TOKEN_FIELDS), dtype=torch.int32)
    tokens_1LF[0, :, GAP] = torch.tensor(gaps)
    tokens_1LF[0, :, TYPE] = 1
    tokens_1LF[0, :, ITEM] = FIRST_ITEM_ROW
    return tokens_1LF


def test_seconds_count_after_years() -> None:
    # Bucket 2 stands for 2 ** 0.75 - 1 = 0.68 s, bucket 60 for 2 ** 29.75 s, some 28 years.
    seen = look_back(tokens([0, 60, 2, 2]), torch.tensor([[0]]))
    assert seen.distance_QL.tolist() == [[3, 2, 1, 0]]
    # 28 years and 1.36 s; 1.36 s: 1 + floor(2 log2 2.36) = 3; 0.68 s: 1 + floor(2 * 0.75) = 2; now
    assert seen.age_BQL.tolist() == [[[60, 3, 2, 1]]]


def test_the_time_since_the_last_token_adds_up() -> None:
    seen = look_back(tokens([0, 2]), torch.tensor([[5]]))
    # Bucket 5 stands for 2 ** 2.25 - 1 = 3.76 s: 4.44 s is 1 + floor(2 log2 5.44) = 5
    assert seen.age_BQL.tolist() == [[[5, 5]]]


def test_padding_and_what_is_to_come_are_not_seen() -> None:
    tokens_1LF = tokens([0, 0, 2])
    tokens_1LF[0, 0] = 0
    seen = look_back(tokens_1LF, torch.zeros((1, 2), dtype=torch.int32))
    assert seen.seen_BQL.tolist() == [[[False, True, False], [False, True, True]]]
