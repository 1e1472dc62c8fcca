"""From a trained model to an artefact: exported, checked, judged, and sealed with its metrics."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from features.artefact import Contract
from features.encoding import SCHEMA_VERSION
from features.signature import read_signing_key, read_trusted_keys
from training.export.companions import seal, write_companions
from training.export.export import GRAPH, check_golden, check_parity, write_graph
from training.export.ranker import Ranker
from training.gate import latency_ms
from training.judging.judging import Standing, judge_artefact
from training.preparing import Prepared
from training.settings import TrainingError, TrainingSettings


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
    signing_key = signing_key_of(run.settings)
    seal(directory, dataclasses.replace(contract, metrics=metrics), signing_key)
    return Sealed(directory, standing, metrics, latency)


def signing_key_of(settings: TrainingSettings) -> Ed25519PrivateKey | None:
    """What the artefact is signed with, if it is; raises KeyFileError."""
    return read_signing_key(Path(settings.signing_key)) if settings.signing_key else None


def check_signing(settings: TrainingSettings, trusted_keys: str) -> None:
    """Raises KeyFileError, or TrainingError where no server would take what is to be trained."""
    key = signing_key_of(settings)
    if not trusted_keys:
        return
    rule = f"must be the file of a key in --trusted-keys {trusted_keys}: nothing else is served"
    if key is None or key.public_key() not in read_trusted_keys(Path(trusted_keys)):
        raise TrainingError(f"signing-key is {settings.signing_key!r}: {rule}")


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
