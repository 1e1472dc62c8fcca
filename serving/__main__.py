"""`python -m serving`: answers calls until it is told to stop."""

import asyncio
import logging
import os
import warnings
from typing import Any

import click

from features.log.contract import LogError
from features.settings import options
from features.vocabulary import VocabularyError
from serving.settings import ServingSettings


@click.command()
@options(ServingSettings)
def main(**values: Any) -> None:
    """Answers what the next interaction with a customer should be, over gRPC."""
    try:
        settings = ServingSettings(**values)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _quiet()
    from serving.server import Server, StartError  # seconds of imports: not for --help

    # Of MLflow, which comes with the first look into its registry.
    warnings.filterwarnings("ignore", "The ``noload`` loader strategy", DeprecationWarning)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(Server, settings))
    except (StartError, VocabularyError, LogError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _quiet() -> None:
    """Nothing leaves the machine, and nothing but our own lines reaches the terminal."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("serving").setLevel(logging.INFO)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


async def _serve(server: type, settings: ServingSettings) -> None:
    await server(settings).serve()


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # not on Windows
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
