"""What followed what is counted per customer, and the most frequent followers keep their shares."""

import numpy as np
import torch

from features.encoding import FIRST_ITEM_ROW as FIRST
from features.record import item_hash
from tests.sequences import ITEMS, on_day, packed, sequences
from training.data.steps import NO_STEPS, Steps, add_steps, item_indices, most_frequent
from training.model.naming import Naming, within_reach

# From item 0 to item 1 three times, to item 2 once; from item 1 to item 0 once.
STEPS = Steps(np.array([1, 2, 6]), np.array([3, 1, 1]))


def test_steps_stay_within_a_customer_and_pass_over_what_is_about_no_item() -> None:
    one = packed(on_day(1, 0), on_day(2, 3, item_id=None), on_day(3, 1), on_day(4, 0))
    other = packed(on_day(1, 0), on_day(2, 1), on_day(3, 9))  # item 9 is not known
    steps = add_steps(NO_STEPS, sequences(one, other), ITEMS)
    assert steps.code.tolist() == [0 * 6 + 1, 1 * 6 + 0]
    assert steps.count.tolist() == [2, 1]


def test_steps_add_up() -> None:
    one, other = packed(on_day(1, 0), on_day(2, 1)), packed(on_day(1, 2), on_day(2, 0))
    apart = add_steps(add_steps(NO_STEPS, sequences(one), ITEMS), sequences(other), ITEMS)
    together = add_steps(NO_STEPS, sequences(one, other), ITEMS)
    assert apart.code.tolist() == together.code.tolist() == [1, 12]
    assert apart.count.tolist() == together.count.tolist() == [1, 1]


def test_an_unknown_item_has_a_negative_index() -> None:
    hashes = np.array([item_hash("i2"), item_hash("nobody's"), 0], np.uint64)
    assert (item_indices(hashes, ITEMS) < 0).tolist() == [False, True, True]
    assert item_indices(hashes, ITEMS)[0] == 2


def test_the_most_frequent_followers_are_kept_in_the_order_of_their_rows() -> None:
    followers = most_frequent(STEPS, 6, most=2)
    # The prior is 2 steps: 4 steps from item 0 make 6, 1 step from item 1 makes 3.
    assert followers.row_RF[FIRST].tolist() == [FIRST + 1, FIRST + 2]
    assert followers.share_RF[FIRST].tolist() == np.float32([3 / 6, 1 / 6]).tolist()
    assert followers.row_RF[FIRST + 1].tolist() == [0, FIRST]
    assert followers.share_RF[FIRST + 1].tolist() == np.float32([0, 1 / 3]).tolist()
    step_shares = followers.step_R[[FIRST, FIRST + 1, 0]]
    assert step_shares.tolist() == np.float32([1 / 6, 1 / 3, 0]).tolist()
    assert not followers.row_RF[[*range(FIRST), FIRST + 5]].any()


def test_only_so_many_followers_are_kept() -> None:
    followers = most_frequent(STEPS, 6, most=1)
    assert followers.row_RF[FIRST].tolist() == [FIRST + 1]
    assert followers.share_RF[FIRST].tolist() == np.float32([3 / 6]).tolist()


def test_a_step_that_is_being_learnt_does_not_count_for_itself() -> None:
    naming = Naming(8, 4, 2, most_frequent(STEPS, 6))
    row_BL = torch.tensor([[0, FIRST, FIRST + 4, FIRST]])  # padding, item 0, item 4, item 0
    asked_BQ = torch.tensor([[False, False, False, True]])
    row_NK = within_reach(row_BL, asked_BQ, naming.reach).row_NK
    assert row_NK.tolist() == [[FIRST, FIRST + 4, FIRST, 0]]
    for learning, share, whole in ((True, 2 / 6, 3 / 6), (False, 3 / 6, 4 / 6)):
        naming.train(learning)
        no = torch.zeros(1, dtype=torch.bool)
        right, every = naming.shares(row_NK, torch.tensor([FIRST + 1]), no, no)
        about = {"rtol": 0, "atol": 1e-6}
        torch.testing.assert_close(right[0, 0], torch.zeros(4))
        torch.testing.assert_close(right[1, 0], torch.tensor([share, 0, share, 0]), **about)
        torch.testing.assert_close(every[1, 0], torch.tensor([whole, 0, whole, 0]), **about)


def test_of_an_item_taken_for_new_nothing_is_counted() -> None:
    naming = Naming(8, 4, 2, most_frequent(STEPS, 6))
    row_NK = torch.tensor([[FIRST, FIRST + 4, FIRST, 0]])
    no_N, no_NK = torch.zeros(1, dtype=torch.bool), torch.zeros(1, 4, dtype=torch.bool)
    as_new = naming.shares(row_NK, torch.tensor([FIRST + 1]), no_NK, ~no_N)
    torch.testing.assert_close(as_new[0][1], torch.zeros(1, 4))
    # What is left of 4 / 6 when the right one, 3 / 6, and this very step are not counted.
    about = {"rtol": 0, "atol": 1e-6}
    torch.testing.assert_close(as_new[1][1], torch.tensor([[1 / 6, 0, 1 / 6, 0]]), **about)
    after_new = naming.shares(row_NK, torch.tensor([FIRST + 1]), row_NK == FIRST, no_N)
    torch.testing.assert_close(after_new[0][1], torch.zeros(1, 4))
    torch.testing.assert_close(after_new[1][1], torch.zeros(1, 4))
    # A new item that the customer has turned to names itself again.
    again = naming.shares(row_NK, torch.tensor([FIRST]), row_NK == FIRST, ~no_N)
    assert again[0][0].tolist() == [[1, 0, 1, 0]]


def test_only_the_newest_tokens_are_within_reach() -> None:
    row_BL = torch.tensor([[3, 4, 5, 6], [0, 0, 7, 8]])
    asked_BQ = torch.tensor([[True, False, True], [False, False, True]])  # of the last 3 of 4
    near = within_reach(row_BL, asked_BQ, 3)
    assert near.row_NK.tolist() == [[4, 3, 0], [6, 5, 4], [8, 7, 0]]
    assert near.at_NK.tolist() == [[1, 0, 0], [3, 2, 1], [3, 2, 1]]
