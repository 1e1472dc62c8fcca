"""Publishing: the registry in MLflow, and the alias that only a better model gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from features.artefact import ARTEFACT_PATH, CHAMPION, MODEL_NAME
from features.settings import Home

EXPERIMENT = MODEL_NAME


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that the alias points to."""

    version: str
    directory: Path  # its artefact, not yet verified


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version, as a list shows it."""

    version: str
    champion: bool
    created_ms: int  # since 1970
    metrics: Mapping[str, float]


class Publisher:
    """MLflow's runs and model registry in a home; creates them where there are none."""

    def __init__(self, home: Home) -> None:
        """Opens the registry; the first time MLflow lays out its tables."""
        home.path.mkdir(parents=True, exist_ok=True)
        self._location = home.artefacts.resolve().as_uri()
        uri = home.tracking_uri
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def publish(
        self,
        directory: Path,
        *,
        params: Mapping[str, Any],
        epochs: Sequence[Mapping[str, float]],
        metrics: Mapping[str, float],
    ) -> str:
        """Registers a sealed artefact, all of it logged before; gives its version."""
        client = self._client
        run = client.create_run(self._experiment())
        run_id = run.info.run_id
        try:
            for name, value in params.items():
                client.log_param(run_id, name, value)
            for number, epoch in enumerate(epochs, start=1):
                for name, value in epoch.items():
                    client.log_metric(run_id, name, value, step=number)
            for name, value in metrics.items():
                client.log_metric(run_id, name, value)
            client.log_artifacts(run_id, str(directory), ARTEFACT_PATH)
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FINISHED")
        source = f"{run.info.artifact_uri}/{ARTEFACT_PATH}"
        return str(client.create_model_version(self._model(), source, run_id).version)

    def crown(self, version: str) -> None:
        """Makes a version the champion; servers pick it up by themselves."""
        self._client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)

    def champion(self) -> Champion | None:
        """The champion; None where there is none yet."""
        try:
            found = self._client.get_model_version_by_alias(MODEL_NAME, CHAMPION)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return Champion(str(found.version), self._directory(found))

    def versions(self) -> list[Version]:
        """All registered versions, newest first."""
        found = self._client.search_model_versions(
            f"name='{MODEL_NAME}'", order_by=["version_number DESC"]
        )
        champion = self.champion()
        return [
            Version(
                version=str(each.version),
                champion=champion is not None and str(each.version) == champion.version,
                created_ms=each.creation_timestamp,
                metrics=self._client.get_run(each.run_id or "").data.metrics,
            )
            for each in found
        ]

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=self._location))

    def _model(self) -> str:
        try:
            self._client.get_registered_model(MODEL_NAME)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self._client.create_registered_model(MODEL_NAME)
        return MODEL_NAME

    def _directory(self, version: ModelVersion) -> Path:
        uri = self._client.get_run(version.run_id or "").info.artifact_uri
        return Path(get_artifact_repository(uri).download_artifacts(ARTEFACT_PATH))
