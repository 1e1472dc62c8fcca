"""Looking back: distances, and ages that stay exact beside gaps of years."""

import torch
from torch.nn import functional as F

from features.encoding import FIRST_ITEM_ROW, GAP, ITEM, TOKEN_FIELDS, TYPE
from training.model.attention import NEVER, ages, by_bucket, look_back


def tokens(gaps: list[int]) -> torch.Tensor:
    tokens_1LF = torch.zeros((1, len(gaps), TOKEN_FIELDS), dtype=torch.int32)
    tokens_1LF[0, :, GAP] = torch.tensor(gaps)
    tokens_1LF[0, :, TYPE] = 1
    tokens_1LF[0, :, ITEM] = FIRST_ITEM_ROW
    return tokens_1LF


def test_seconds_count_after_years() -> None:
    # Bucket 2 stands for 2 ** 0.75 - 1 = 0.68 s, bucket 60 for 2 ** 29.75 s, some 28 years.
    found_BQL = ages(tokens([0, 60, 2, 2]), torch.tensor([[0]]))
    # 28 years and 1.36 s; 1.36 s: 1 + floor(2 log2 2.36) = 3; 0.68 s: 1 + floor(2 * 0.75) = 2; now
    assert found_BQL.tolist() == [[[60, 3, 2, 1]]]


def test_the_time_since_the_last_token_adds_up() -> None:
    found_BQL = ages(tokens([0, 2]), torch.tensor([[5]]))
    # Bucket 5 stands for 2 ** 2.25 - 1 = 3.76 s: 4.44 s is 1 + floor(2 log2 5.44) = 5
    assert found_BQL.tolist() == [[[5, 5]]]


def test_distances_are_tokens() -> None:
    assert look_back(tokens([0, 60, 2, 2]), 2).distance_QL.tolist() == [[2, 1, 0, 0], [3, 2, 1, 0]]


def test_padding_and_what_is_to_come_are_not_seen() -> None:
    tokens_1LF = tokens([0, 0, 2])
    tokens_1LF[0, 0] = 0
    unseen_B1QL = look_back(tokens_1LF, 2).unseen_B1QL
    assert unseen_B1QL.tolist() == [[[[NEVER, 0, NEVER], [NEVER, 0, 0]]]]


def test_buckets_give_what_an_embedding_gives() -> None:
    table_GX = torch.randn(5, 3, requires_grad=True)
    bucket = torch.tensor([[4, 0, 4], [1, 1, 2]])
    weight_XAB = torch.randn(3, 2, 3)
    looked_up = [by_bucket(table_GX, bucket), F.embedding(bucket, table_GX).movedim(-1, 0)]
    grads = [torch.autograd.grad((each * weight_XAB).sum(), table_GX)[0] for each in looked_up]
    assert torch.equal(*looked_up)
    assert torch.allclose(*grads)
