"""The models: which versions the registry holds, and how the champion becomes one that serves."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from features.artefact import (
    ARTEFACT_PATH,
    CHAMPION,
    ArtefactError,
    Contract,
    load_content,
    load_items,
    load_popularity,
    read_contract,
    verify,
)
from features.content import Content
from features.encoding import ItemIndex
from features.interaction import Violation, shown
from features.rollout import REASON, Rollout, rollout_of, withdrawal
from features.settings import Home
from features.vocabulary import Vocabulary
from serving.errors import InvalidError, NotFoundError
from serving.model.scorer import Scorer
from serving.processes.leisure import Breathe, in_haste
from serving.settings import ServingSettings


@dataclass(frozen=True, slots=True)
class Outline:
    """What must be known of a scorer where another process runs it."""

    contract: Contract
    items: ItemIndex
    provider: str


@dataclass(frozen=True, slots=True)
class Model:
    """A version that is verified, loaded and warm, here or in another process."""

    version: str
    scorer: Scorer | Outline
    popularity: dict[str, list[int]]
    content: Content


@dataclass(frozen=True, slots=True)
class Registered:
    """What the registry and the contract say about a version."""

    version: str
    champion: bool
    create_time: datetime
    item_count: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the versions, newest first; an empty token on the last page."""

    models: list[Registered]
    next_token: str


class Registry:
    """MLflow's model registry. All methods block."""

    def __init__(self, settings: ServingSettings, vocabulary: Vocabulary) -> None:
        """Opens nothing yet: there may be no registry before the first training."""
        self._home = Home(settings.home, settings.tracking_url, settings.tenant)
        self._settings = settings
        self._vocabulary = vocabulary
        self._client: MlflowClient | None = None
        self._directories: dict[str, Path] = {}

    def aliases(self) -> dict[str, str]:
        """The version that each alias points to."""
        client = self._open()
        if client is None:
            return {}
        try:
            found = client.get_registered_model(self._home.model_name).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        return {alias: str(version) for alias, version in found.items()}

    def champion(self) -> str | None:
        """The version that ought to serve; None where there is none."""
        return self.aliases().get(CHAMPION)

    def rollout(self, alias: str, version: str) -> Rollout | None:
        """What it means that an alias points to a version; None where that was withdrawn.

        Raises ValueError where nobody has said for whom it is.
        """
        return rollout_of(alias, version, self._version(version).tags)

    def why_withdrawn(self, version: str) -> str:
        """The reason that is noted of a version; empty where there is none."""
        return str(self._version(version).tags.get(REASON, ""))

    def withdraw(self, rollout: Rollout, reason: str) -> None:
        """Notes it, and takes the alias away; does nothing once an operator has set it anew."""
        client, name, version = self._open(), self._home.model_name, rollout.version
        assert client is not None  # there is a version
        if rollout_of(rollout.alias, version, self._version(version).tags) not in (None, rollout):
            return
        for key, value in withdrawal(reason, datetime.now(UTC)).items():
            client.set_model_version_tag(name, version, key, value)
        if self.aliases().get(rollout.alias) == version:
            client.delete_registered_model_alias(name, rollout.alias)

    def load(self, version: str, breathe: Breathe = in_haste) -> Model:
        """Verifies, loads and warms up a version; raises ArtefactError."""
        directory = self._directory(self._version(version))
        breathe()
        scorer = Scorer(
            directory,
            self._vocabulary,
            threads=self._settings.model_threads,
            device=self._settings.device,
            trusted_keys=self._settings.trusted_keys,
            breathe=breathe,
        )
        scorer.warm_up(max_batch=self._settings.max_batch)
        breathe()
        content, width = load_content(directory), scorer.no_fresh.vectors_ND1.shape[1]
        if len(content.cold_D1) != width:
            raise ArtefactError(f"{directory}: content.npz is no content of vectors of {width}")
        return Model(version, scorer, load_popularity(directory), content)

    def outline(self, version: str, provider: str, breathe: Breathe = in_haste) -> Model:
        """Verifies a version that another process runs; raises ArtefactError."""
        directory = self._directory(self._version(version))
        breathe()
        contract = verify(directory, self._vocabulary, trusted_keys=self._settings.trusted_keys)
        breathe()
        outline = Outline(contract, load_items(directory), provider)
        return Model(version, outline, load_popularity(directory), load_content(directory))

    def describe(self, version: str) -> Registered:
        """One version; raises NotFoundError."""
        return self._registered(self._version(version), self.champion())

    def page(self, *, size: int, token: str) -> Page:
        """Up to `size` versions from where `token` left off."""
        client = self._open()
        if client is None:
            return Page([], "")
        try:
            found = client.search_model_versions(
                f"name='{self._home.model_name}'",
                max_results=size,
                order_by=["version_number DESC"],
                page_token=token or None,
            )
        except (MlflowException, ValueError) as error:  # a token of letters that base64 has not
            rule = "must be the next_page_token of the page before"
            raise InvalidError([Violation("page_token", shown(token), rule)]) from error
        champion = self.champion()
        return Page([self._registered(each, champion) for each in found], found.token or "")

    def _open(self) -> MlflowClient | None:
        if self._client is None and (self._home.tracking_url or self._home.tracking.exists()):
            uri = self._home.tracking_uri
            self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        return self._client

    def _version(self, version: str) -> ModelVersion:
        client = self._open()
        try:
            if client is not None and version.isdecimal():
                return client.get_model_version(self._home.model_name, version)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        raise NotFoundError(
            f"version is {shown(version)}: {self._home.model_name} has no such version"
        )

    def _directory(self, version: ModelVersion) -> Path:
        """Where its files are; those of a server are fetched once."""
        client, run_id = self._open(), version.run_id
        assert client is not None and run_id is not None  # there is a version
        if run_id not in self._directories:
            uri = client.get_run(run_id).info.artifact_uri
            repository = get_artifact_repository(uri, self._home.tracking_uri)
            self._directories[run_id] = Path(repository.download_artifacts(ARTEFACT_PATH))
        return self._directories[run_id]

    def _registered(self, version: ModelVersion, champion: str | None) -> Registered:
        try:
            contract = read_contract(self._directory(version))
            item_count, metrics = contract.item_count, contract.metrics
        except (ArtefactError, OSError, MlflowException):  # its files are gone
            item_count, metrics = 0, {}
        return Registered(
            version=str(version.version),
            champion=str(version.version) == champion,
            create_time=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
            item_count=item_count,
            metrics=metrics,
        )
