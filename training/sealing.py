"""From a trained model to an artefact: exported, checked, judged, and sealed with its metrics."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from features.artefact import Contract
from features.encoding import SCHEMA_VERSION
from training.export.companions import seal, write_companions
from training.export.export import GRAPH, check_golden, check_parity, write_graph
from training.export.ranker import Ranker
from training.gate import latency_ms
from training.judging.judging import Standing, judge_artefact
from training.preparing import Prepared


@dataclass(frozen=True, slots=True)
class Sealed:
    """An artefact that may be published, and how good and fast it is."""

    directory: Path
    standing: Standing
    metrics: Mapping[str, float]
    latency_ms: float


def write_artefact(
    directory: Path,
    ranker: Ranker,
    run: Prepared,
    baselines: Sequence[Standing],
    lineage: dict[str, str],
) -> Sealed:
    """Judges what was exported, not what was trained; raises ExportError where they differ."""
    directory.mkdir()
    write_graph(ranker, directory / GRAPH)
    parity = check_parity(ranker, directory / GRAPH)
    write_companions(
        directory, ranker, run.counts, run.contest.arrivals, run.vocabulary, run.plan.known
    )
    check_golden(directory)
    contract = _contract(run, lineage)
    seal(directory, contract)
    standing = judge_artefact("model", directory, run.vocabulary, run.contest)
    latency = latency_ms(directory, ranker)
    metrics = metrics_of(standing, baselines) | {"parity": parity, "latency_ms": latency}
    seal(directory, dataclasses.replace(contract, metrics=metrics))
    return Sealed(directory, standing, metrics, latency)


def metrics_of(standing: Standing, baselines: Sequence[Standing]) -> dict[str, float]:
    """The model's own figures, and those of each baseline under its name."""
    return standing.metrics | {
        f"{each.name.lower()}_{name}": value
        for each in baselines
        for name, value in each.headline.items()
    }


def _contract(run: Prepared, lineage: dict[str, str]) -> Contract:
    plan = run.plan
    return Contract(
        schema_version=SCHEMA_VERSION,
        vocabulary_digest=run.vocabulary.digest,
        predicted_types=run.vocabulary.predicted,
        max_length=plan.settings.max_length,
        horizon_days=plan.settings.horizon_days,
        item_count=len(plan.items.item_ids),
        metrics={},
        lineage=lineage,
    )
