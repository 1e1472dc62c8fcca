"""What the Open Bandit Pipeline (`obp`) estimates from arrays; runs where it is installed.

python -m benchmarks.peers.obp_estimates QUESTION.npz ANSWER.npz

Its package imports plots, simulators and neural policies on the way to its estimators, which need
none of them: only the modules that are asked for are loaded, and nothing of torch, whose name alone
must be there.

N decisions   A actions   L positions
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np


def load(name: str) -> Any:
    """A module of obp, without what the packages around it import."""
    for package in ("obp", "obp.ope", "obp.policy"):
        if package not in sys.modules:
            found = importlib.util.find_spec(package)
            assert found is not None
            sys.modules[package] = bare = ModuleType(package)
            bare.__path__ = list(found.submodule_search_locations or ())
    return importlib.import_module(name)


def answer(question: dict[str, np.ndarray]) -> dict[str, Any]:
    """By each of its estimators, and the policy that it knows by its priors."""
    ope, slate = load("obp.ope.estimators"), load("obp.ope.estimators_slate")
    asked = {
        "reward": question["reward_N"],
        "action": question["action_N"],
        "pscore": question["propensity_N"],
        "position": question["position_N"],
        "action_dist": question["probability_NAL"],
        "estimated_rewards_by_reg_model": question["expected_NAL"],
    }
    most, strength = float(question["most"]), float(question["strength"])
    estimators = {
        "inverse propensity": ope.InverseProbabilityWeighting(),
        "self-normalised": ope.SelfNormalizedInverseProbabilityWeighting(),
        "direct method": ope.DirectMethod(),
        "doubly robust": ope.DoublyRobust(),
        "clipped": ope.InverseProbabilityWeighting(lambda_=most),
        "switch-DR": ope.SwitchDoublyRobust(lambda_=most),
        "DRos": ope.DoublyRobustWithShrinkage(lambda_=strength),
    }
    return {
        **{name: each.estimate_policy_value(**asked) for name, each in estimators.items()},
        "slates": slates(slate, question),
        "policy_AL": thompson(str(question["campaign"]), *question["expected_NAL"].shape[1:]),
    }


def slates(module: Any, question: dict[str, np.ndarray]) -> float:
    """Its independent IPS, on rows of slates."""
    count, positions = question["slate_reward_NL"].shape
    value: float = module.SlateIndependentIPS(len_list=positions).estimate_policy_value(
        slate_id=np.repeat(np.arange(count), positions),
        position=np.tile(np.arange(positions), count),
        reward=question["slate_reward_NL"].ravel(),
        pscore_item_position=question["slate_propensity_NL"].ravel(),
        evaluation_policy_pscore_item_position=question["slate_probability_NL"].ravel(),
    )
    return value


def thompson(campaign: str, actions: int, positions: int) -> np.ndarray:
    """The Thompson sampling of the shop, simulated from the priors that it ran with."""
    policy = load("obp.policy.contextfree").BernoulliTS(
        n_actions=actions,
        len_list=positions,
        is_zozotown_prior=True,
        campaign=campaign,
        random_state=1,
    )
    found: np.ndarray = policy.compute_batch_action_dist(n_rounds=1)[0]
    return found


def main() -> None:
    """Reads the one file, writes the other."""
    sys.modules["torch"] = torch = ModuleType("torch")
    torch.__dict__.update(Tensor=type("Tensor", (), {}), tensor=None)  # named, never used
    with np.load(sys.argv[1]) as question:
        np.savez(sys.argv[2], **answer(dict(question)))


if __name__ == "__main__":
    main()
