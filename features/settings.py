"""Where everything is kept, and how a program's settings become flags and variables."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import click

from features.tenant import OURS, check_tenant, of_tenant
from features.vocabulary import DEFAULT_PATH


@dataclass(frozen=True)
class Home:
    """The one directory that holds all state of an embedded Interplay."""

    path: Path
    tracking_url: str = ""  # of an MLflow server that holds runs and models instead
    tenant: str = ""

    @property
    def model_name(self) -> str:
        """The registered model in MLflow, and the experiment of its runs."""
        return of_tenant(OURS, self.tenant)

    @cached_property
    def history(self) -> Path:
        """The Parquet history, one folder a day."""
        return self.path / "history"

    @cached_property
    def windows(self) -> Path:
        """Customers' packed histories at moments that were asked for, for Feast's offline store."""
        return self.path / "windows"

    @cached_property
    def item_measures(self) -> Path:
        """Daily snapshots of what items have done, a Parquet file a day."""
        return self.path / "item-measures"

    @cached_property
    def samples(self) -> Path:
        """The features of sampled decisions, as they were (SQLite)."""
        return self.path / "samples.db"

    @cached_property
    def decision_log(self) -> Path:
        """The decisions that have not been drained yet (SQLite)."""
        return self.path / "decision-log.db"

    @cached_property
    def decisions(self) -> Path:
        """The Parquet history of decisions, one folder a day."""
        return self.path / "decisions"

    @cached_property
    def items(self) -> Path:
        """Imported or simulated items, as Parquet parts."""
        return self.path / "items"

    @cached_property
    def rejects(self) -> Path:
        """What an import refused, with the reasons."""
        return self.path / "rejects"

    @cached_property
    def truth(self) -> Path:
        """What a simulation knows of its customers and items, beside what it shows."""
        return self.path / "truth"

    @cached_property
    def log(self) -> Path:
        """The durable log and the catalog (SQLite)."""
        return self.path / "log.db"

    @cached_property
    def online(self) -> Path:
        """Feast's online store (SQLite): a cache of the log's tail."""
        return self.path / "online.db"

    @cached_property
    def feast_registry(self) -> Path:
        """Feast's registry of entities, views and services."""
        return self.path / "feast-registry.db"

    @cached_property
    def tracking(self) -> Path:
        """MLflow's runs and registry (SQLite)."""
        return self.path / "mlflow.db"

    @property
    def tracking_uri(self) -> str:
        """What MLflow calls the tracking store and the model registry."""
        return self.tracking_url or f"sqlite:///{self.tracking.resolve()}"

    @cached_property
    def turns(self) -> Path:
        """Locked by the one serving process whose turn it is to load a model."""
        return self.path / "turns.lock"

    @cached_property
    def artefacts(self) -> Path:
        """The files of MLflow's runs, artefacts among them."""
        return self.path / "mlflow"

    @cached_property
    def checkpoints(self) -> Path:
        """What training needs to go on after a kill."""
        return self.path / "checkpoints"

    @cached_property
    def searches(self) -> Path:
        """What searches for better settings have tried, a folder each."""
        return self.path / "searches"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSettings:
    """What every program of Interplay must agree on."""

    home: Annotated[Path, "directory that holds log, features, history and models"] = Path(
        ".interplay"
    )
    tenant: Annotated[str, "whose data this is, where several share the stores; kebab-case"] = ""
    vocabulary: Annotated[Path, "TOML file of interaction types and channels"] = DEFAULT_PATH
    max_records: Annotated[int, "interactions kept online for each customer"] = 100
    decision_days: Annotated[int, "days for which logged decisions are kept"] = 365
    log_url: Annotated[str, "NATS JetStream that is the log, nats://HOST:4222; else SQLite"] = ""
    log_replicas: Annotated[int, "NATS servers that keep each interaction, once created"] = 1
    online_url: Annotated[
        str, "Redis that keeps what is online, redis://HOST:6379; else SQLite"
    ] = ""
    tracking_url: Annotated[
        str, "MLflow server of runs and models, http://HOST:5000; else SQLite"
    ] = ""
    trusted_keys: Annotated[
        str, "PEM file of public keys: a model that none of them has signed is refused"
    ] = ""

    def __post_init__(self) -> None:
        """Raises UsageError for a tenant that cannot be one."""
        try:
            check_tenant(self.tenant)
        except ValueError as error:
            raise click.UsageError(str(error)) from error


def options(settings: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a click command a flag --name and a variable INTERPLAY_NAME for each field.

    The command receives all of them as keyword arguments, to be put into the dataclass.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for each in reversed(_options_of(settings)):
            command = each(command)
        return command

    return decorate


def _options_of(settings: type) -> list[Callable[..., Any]]:
    hints = get_type_hints(settings, include_extras=True)
    return [_option(field, hints[field.name]) for field in dataclasses.fields(settings)]


def _option(field: dataclasses.Field[Any], hint: Any) -> Callable[..., Any]:
    kind, text = get_args(hint) if get_origin(hint) is Annotated else (hint, "")
    name = field.name.replace("_", "-")
    return click.option(
        f"--{name}/--no-{name}" if kind is bool else f"--{name}",
        field.name,
        type=click.Path(path_type=Path) if kind is Path else kind,
        default=field.default,
        envvar=f"INTERPLAY_{field.name.upper()}",
        show_default=True,
        show_envvar=True,
        help=text,
    )


def words_of(settings: Any) -> list[str]:
    """What to say to a command for these settings: the flags that are not as by default."""
    words = []
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), field.name.replace("_", "-")
        if value == field.default:
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        else:
            words += [f"--{name}", str(value)]
    return words
