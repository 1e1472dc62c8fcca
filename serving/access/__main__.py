"""`python -m serving.access`: makes API keys, and checks an access file before it is used."""

from pathlib import Path

import click

from serving.access.callers import Callers
from serving.access.declaration import AccessError, AccessFile
from serving.access.keys import hash_of, new_key
from serving.access.rights import ROLES, Role


@click.group()
def main() -> None:
    """Who may call."""


@main.command()
@click.option("--name", required=True, help="the caller, as the access file names it")
@click.option("--expires", help="day on which it is not accepted any more, as in 2027-03-01")
def key(name: str, expires: str | None) -> None:
    """Makes a key: the secret on stdout, once, and on stderr what stands of it in the file."""
    secret = new_key()
    end = f", expires: {expires}" if expires else ""
    click.echo(f"For {name}, who keeps it to themselves; it is not shown again:", err=True)
    click.echo(secret)
    click.echo(f"For the access file, under keys of {name}:", err=True)
    click.echo(f'  - {{sha256: "{hash_of(secret)}"{end}}}', err=True)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--tenant", default="", help="of the server that it is for")
def check(file: Path, tenant: str) -> None:
    """Says what is wrong with an access file, or who may call."""
    try:
        declared = AccessFile(file, tenant=tenant).changed()
    except AccessError as error:
        raise click.ClickException(str(error)) from None
    assert declared is not None  # it has never been looked at
    Callers(*declared)
    for each in declared[0].callers:
        ways = f"{len(each.keys)} keys, {len(each.certificates)} certificates"
        channels = ", ".join(each.channels) or "no channel"
        click.echo(f"{each.name}: {', '.join(each.roles)}; {channels}; {ways}")


@main.command()
def roles() -> None:
    """What each role may do."""
    for role in Role:
        click.echo(f"{role}: {', '.join(sorted(ROLES[role]))}")


if __name__ == "__main__":
    main()
