"""python -m training judge: policies replayed on what another one decided, and logged."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from google.protobuf.timestamp_pb2 import Timestamp
from interplay.v1.interaction_pb2 import INITIATOR_COMPANY

from features.__main__ import main as features_main
from features.decisions.decision import time_of
from features.policy.declaration import Exploration, Policy
from features.policy.placing import placing
from features.settings import Home
from features.vocabulary import load_vocabulary
from tests.artefacts import publish, write_artefact
from tests.decided import candidates, decided
from tests.policies import EVEN
from tests.running import Running, add_items, decide, record, viewed
from training.offline.command import judge_command
from training.offline.replay import policy_in, replay_of, replayable
from training.settings import TrainingError

EXPLORING = "\nexploration: {share: 1.0, places: 1}\n"
CAREFUL = "\nattention: {asked: 5.0}\n"  # nothing is ever worth it
CUSTOMERS = 60


def policy(share: float = 0.5, **fields: object) -> Policy:
    exploration = Exploration(share=share, places=2)
    return Policy(version="p", exploration=exploration, **fields)  # type: ignore[arg-type]


def test_places_are_drawn_by_the_law_of_arbitration() -> None:
    value_K, open_K = np.array([0.1, 0.3, 0.2, 9.0]), np.array([True, True, True, False])
    found = placing(value_K, open_K, policy=policy(0.3), k=5)
    np.testing.assert_allclose(found, [[0.1, 0.8, 0.1, 0], [0.1, 0.1, 0.8, 0]])
    np.testing.assert_allclose(placing(value_K, open_K, policy=policy(0.3), k=1)[1], 0)
    np.testing.assert_allclose(placing(value_K, ~open_K & False, policy=policy(), k=5), 0)


def test_a_replay_of_the_policy_that_ran_has_the_logged_propensities() -> None:
    # Both are open: worth more than nothing. Apple is worth more, and stood first by it.
    shown = decided(candidates=candidates(propensity=0.75))
    silent = decided(1, reason="low-value", candidates=candidates(offered=0))
    vocabulary = load_vocabulary()
    replay = replay_of([shown, silent], {(shown.decision_id, 0): 2.0}, places=1)
    assert replay.logged.action_N.tolist() == [0, replay.silence]
    assert replay.logged.reward_N.tolist() == [2.0, 0.0]
    assert replay.logged.propensity_N.tolist() == [0.75, 1.0]
    same = policy_in(replay, policy(0.5), vocabulary)
    np.testing.assert_allclose(same.logged_N, [0.75, 0.0])
    assert same.silent_N is not None
    assert same.silent_N.tolist() == [0.0, 0.0]
    never = policy_in(replay, policy(0.5, customer_floor=5.0), vocabulary)
    np.testing.assert_allclose(never.logged_N, [0.0, 1.0])
    assert never.silent_N is not None
    assert never.silent_N.tolist() == [1.0, 0.0]  # and that is known to bring nothing


def test_what_no_policy_has_decided_is_not_replayed() -> None:
    assert replayable(decided())
    assert not replayable(decided(customer_key=None))
    assert not replayable(decided(reason="no-consent"))
    assert not replayable(decided(considered_count=3))
    assert not replayable(decided(types=[]))
    assert replayable(decided(arm="random-eligible"))
    assert not replayable(decided(arm="propensity-only"))  # the most probable, never by lot


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a server has decided, and what came of it, drained: bread or eggs, drawn by lot.

    Customers have looked at bread twice. Whoever is shown bread buys it; nobody buys eggs.
    """
    folder = tmp_path_factory.mktemp("judged")
    home = folder / "home"
    add_items(home)
    publish(Home(home), write_artefact(folder / "artefact"))
    (folder / "exploring.yaml").write_text(EVEN.read_text() + EXPLORING)
    with Running(home, policy=folder / "exploring.yaml") as server:
        for number in range(CUSTOMERS):
            customer = f"customer-{number}"
            record(server, viewed(customer, "bread"), viewed(customer, "bread"))
            for _ in range(8):
                reply = decide(server, customer, k=1, candidate_item_ids=["bread", "eggs"])
                _shown(server, customer, reply.decision_id, reply.candidates[0].item_id)
    CliRunner().invoke(features_main, ["drain", "--home", str(home)], catch_exceptions=False)
    return home


def _shown(server: Running, customer: str, decision_id: str, item_id: str) -> None:
    now, decide_time = Timestamp(), time_of(decision_id)
    assert decide_time is not None
    now.FromDatetime(decide_time)  # not by the clock: the window is short
    fields = {"decision_id": decision_id, "event_time": now}
    shown = viewed(customer, item_id, type="impression", initiator=INITIATOR_COMPANY, **fields)
    bought = [viewed(customer, item_id, type="purchase", **fields)] if item_id == "bread" else []
    record(server, shown, *bought)


def judged(home: Path, policy: Path, *arguments: str) -> Result:
    words = ["--policy", str(policy), "--home", str(home), "--window-days", "1e-6", *arguments]
    return CliRunner().invoke(judge_command, words, catch_exceptions=False)


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / f"{name}.yaml"
    path.write_text(EVEN.read_text().replace("version: even", f"version: {name}") + text)
    return path


def test_a_policy_that_is_better_by_the_log_may_be_released(home: Path, tmp_path: Path) -> None:
    result = judged(home, written(tmp_path, "greedy", ""))
    assert "greedy may be released" in result.output
    assert result.exit_code == 0
    # It shows bread more often than by lot, as customers have looked at it.
    for estimator in ("inverse propensity", "self-normalised", "doubly robust"):
        assert re.search(rf"{estimator} +greedy ", result.output, re.MULTILINE)


def test_silence_is_known_to_bring_nothing_and_refused(home: Path, tmp_path: Path) -> None:
    result = judged(home, written(tmp_path, "silent", CAREFUL))
    assert result.exit_code == 1
    assert "silent is refused:\n  it may be worse by 0." in result.output


def test_two_policies_are_compared_on_the_same_decisions(home: Path, tmp_path: Path) -> None:
    greedy, drawn = written(tmp_path, "greedy", ""), written(tmp_path, "drawn", EXPLORING)
    same = judged(home, greedy, "--against", str(greedy))
    assert same.exit_code == 0
    worse = judged(home, drawn, "--against", str(greedy))
    assert worse.exit_code == 1
    assert "drawn is refused:\n  it may be worse by 0." in worse.output


def test_a_faulty_file_is_told_with_its_line(home: Path, tmp_path: Path) -> None:
    faulty = written(tmp_path, "faulty", "customer_floor: high\n")
    line = len(faulty.read_text().splitlines())
    told = rf"faulty.yaml:{line}: customer_floor is 'high': Input should be a valid number"
    with pytest.raises(TrainingError, match=told):
        judged(home, faulty)


def test_without_decisions_nothing_can_be_judged(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no decision from .* can be replayed"):
        judged(tmp_path, EVEN)
