"""`python -m serving`: answers calls until it is told to stop."""

import asyncio
from pathlib import Path
from typing import Any

import click

from features.settings import options
from features.signature import read_trusted_keys
from serving.access.protection import check_protection
from serving.processes.process import EXPECTED, quiet, serve_alone
from serving.processes.supervisor import Supervisor
from serving.settings import ServingSettings


@click.command()
@options(ServingSettings)
def main(**values: Any) -> None:
    """Answers what the next interaction with a customer should be, over gRPC."""
    try:
        settings = ServingSettings(**values)
        check_protection(settings)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    quiet()
    try:
        if settings.trusted_keys:
            read_trusted_keys(Path(settings.trusted_keys))  # or says at once what is missing
        if settings.process_count == 1 and not settings.has_engine:
            serve_alone(settings)
        else:
            asyncio.run(Supervisor(settings).run())
    except EXPECTED as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
