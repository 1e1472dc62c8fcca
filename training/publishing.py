"""Publishing: runs and versions in MLflow, and the alias that only a better model gets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from features.artefact import ARTEFACT_PATH, CHAMPION
from features.settings import Home
from training.settings import TrainingError

KEPT_PATH = "training"  # beside the artefact: what the next training needs, and serving never
NAME = "interplay.name"  # tag of a run: by it a rerun finds what was cut off
CROWNED, PREDECESSOR, RETREATED = "crowned_time", "predecessor", "rolled_back_time"  # of versions
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True, slots=True)
class Champion:
    """A version and its files; the one that the alias points to, or another to compare it with."""

    version: str
    directory: Path  # its artefact, not yet verified


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version, as a list shows it."""

    version: str
    aliases: tuple[str, ...]  # champion, canary, shadow
    created_ms: int  # since 1970
    metrics: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)  # lineage, verdict, reigns

    @property
    def champion(self) -> bool:
        """Whether it is the one that serves."""
        return CHAMPION in self.aliases


class Publisher:
    """MLflow's runs and model registry; creates them where there are none."""

    def __init__(self, home: Home, experiment: str = "") -> None:
        """Opens the registry; the first time MLflow lays out its tables.

        Runs stand under the model's name, or in another experiment.
        """
        self._model_name = home.model_name
        self._name = f"{self._model_name}-{experiment}" if experiment else self._model_name
        home.path.mkdir(parents=True, exist_ok=True)
        # A server keeps files where it was told to; without one they lie in the home.
        self._location = None if home.tracking_url else home.artefacts.resolve().as_uri()
        self._uri = home.tracking_uri
        self._client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        self._directories: dict[tuple[str, str], Path] = {}

    # ---- Runs ----------------------------------------------------------------------------------

    def begin(self, name: str, params: Mapping[str, Any]) -> str:
        """The run of this name that was cut off before it had a version, else a new one; its id."""
        experiment = self._experiment()
        ours = f"tags.`{NAME}` = '{name}' AND attributes.status != 'FINISHED'"
        for found in self._client.search_runs([experiment], ours):
            run_id = str(found.info.run_id)
            if self._client.search_model_versions(f"run_id = '{run_id}'"):
                self.end(run_id)
                continue
            self._client.update_run(run_id, status="RUNNING")
            return run_id
        run = self._client.create_run(experiment, tags={NAME: name}, run_name=name)
        fields = [Param(key, str(value)) for key, value in params.items()]
        self._client.log_batch(run.info.run_id, params=fields)
        return str(run.info.run_id)

    def log(self, run_id: str, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Adds figures to a run, of an epoch or of the whole."""
        now = int(datetime.now(UTC).timestamp() * 1000)
        values = [Metric(key, value, now, step) for key, value in metrics.items()]
        self._client.log_batch(run_id, metrics=values)

    def curves(self, run_id: str) -> dict[str, dict[int, float]]:
        """The figures of each epoch that were logged of a run, a rerun's too."""
        names = self._client.get_run(run_id).data.metrics
        held = {name: self._client.get_metric_history(run_id, name) for name in names}
        by_step = {
            name: {each.step: each.value for each in history if each.step}
            for name, history in held.items()
        }
        return {name: curve for name, curve in by_step.items() if curve}

    def attach(self, run_id: str, name: str, text: str) -> None:
        """Keeps a text as a file of the run."""
        self._client.log_text(run_id, text, name)

    def end(self, run_id: str, status: str = "FINISHED") -> None:
        """Nothing more belongs to the run."""
        self._client.set_terminated(run_id, status)

    def publish(self, run_id: str, directory: Path, kept: Path, tags: Mapping[str, str]) -> str:
        """Registers a sealed artefact, all of it stored before; gives its version."""
        self._client.log_artifacts(run_id, str(kept), KEPT_PATH)
        self._client.log_artifacts(run_id, str(directory), ARTEFACT_PATH)
        source = f"{self._client.get_run(run_id).info.artifact_uri}/{ARTEFACT_PATH}"
        made = self._client.create_model_version(self._model(), source, run_id, tags=dict(tags))
        return str(made.version)

    # ---- Versions ------------------------------------------------------------------------------

    def champion(self) -> Champion | None:
        """The champion; None where there is none yet."""
        try:
            found = self._client.get_model_version_by_alias(self._model_name, CHAMPION)
        except MlflowException as error:
            if error.error_code in UNKNOWN:
                return None
            raise
        return Champion(str(found.version), self._files(found, ARTEFACT_PATH))

    def find(self, version: str) -> Champion:
        """A version; raises TrainingError where there is no such."""
        return Champion(version, self._files(self._version(version), ARTEFACT_PATH))

    def kept(self, version: str) -> Path:
        """What was kept of a version for training: see KEPT_PATH."""
        return self._files(self._version(version), KEPT_PATH)

    def versions(self) -> list[Version]:
        """All registered versions, newest first."""
        found = self._client.search_model_versions(
            f"name='{self._model_name}'", order_by=["version_number DESC"]
        )
        aliases = self._aliases()
        return [
            Version(
                version=str(each.version),
                aliases=tuple(name for name in aliases if aliases[name] == str(each.version)),
                created_ms=each.creation_timestamp,
                metrics=self._client.get_run(each.run_id or "").data.metrics,
                tags=dict(each.tags),
            )
            for each in found
        ]

    def version_of(self, alias: str) -> str:
        """Which version an alias points to; empty where it points to none."""
        return self._aliases().get(alias, "")

    def point(self, alias: str, version: str) -> None:
        """Lets an alias point to a version."""
        self._client.set_registered_model_alias(self._model_name, alias, version)

    def unpoint(self, alias: str) -> None:
        """Takes an alias away."""
        self._client.delete_registered_model_alias(self._model_name, alias)

    def tags(self, version: str) -> dict[str, str]:
        """What is noted of a version."""
        return dict(self._version(version).tags)

    def note(self, version: str, tags: Mapping[str, str]) -> None:
        """Adds to what is noted of a version."""
        for key, value in tags.items():
            self._client.set_model_version_tag(self._model_name, version, key, value)

    def forget(self, version: str, keys: Iterable[str]) -> None:
        """Takes away what is noted of a version under these keys."""
        for key in self.tags(version).keys() & set(keys):
            self._client.delete_model_version_tag(self._model_name, version, key)

    # ---- Reigns --------------------------------------------------------------------------------

    def crown(self, version: str) -> None:
        """Makes a version the champion; servers pick it up by themselves."""
        champion = self.champion()
        notes = {CROWNED: _now()}
        if champion is not None and champion.version != version:
            notes[PREDECESSOR] = champion.version
        self.note(version, notes)
        self._client.set_registered_model_alias(self._model_name, CHAMPION, version)

    def retreat(self, version: str) -> None:
        """Makes a version champion again, which keeps its own predecessor."""
        champion = self.champion()
        if champion is not None and champion.version != version:
            self.note(champion.version, {RETREATED: _now()})
        self.note(version, {CROWNED: _now()})
        self._client.set_registered_model_alias(self._model_name, CHAMPION, version)

    def _aliases(self) -> dict[str, str]:
        try:
            found = self._client.get_registered_model(self._model_name).aliases
        except MlflowException as error:
            if error.error_code in UNKNOWN:
                return {}
            raise
        return {name: str(found[name]) for name in sorted(found)}

    def _version(self, version: str) -> ModelVersion:
        try:
            return self._client.get_model_version(self._model_name, version)
        except MlflowException as error:
            if error.error_code not in UNKNOWN:
                raise
        raise TrainingError(f"version is {version!r}: no such model is registered; see `list`")

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(self._name)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(self._name, artifact_location=self._location))

    def _model(self) -> str:
        try:
            self._client.get_registered_model(self._model_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self._client.create_registered_model(self._model_name)
        return self._model_name

    def _files(self, version: ModelVersion, path: str) -> Path:
        """Where they are; those of a server are fetched once."""
        run_id = version.run_id or ""
        if (run_id, path) not in self._directories:
            uri = self._client.get_run(run_id).info.artifact_uri
            files = get_artifact_repository(uri, self._uri).download_artifacts(path)
            self._directories[run_id, path] = Path(files)
        return self._directories[run_id, path]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
