"""The access file: who may call, declared in YAML; it may change at any time.

What a fault says never holds the value: a key may have been put where its hash belongs.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field

from features.declared import DeclarationError, Declared, Place, Section, parse
from serving.access.keys import HASH_PATTERN
from serving.access.rights import Right, Role, rights_of
from serving.access.tokens import Algorithm, Tokens, TokensError

ANY_CHANNEL = "*"
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
Channel = Annotated[str, Field(pattern=r"^(\*|[a-z0-9]+(-[a-z0-9]+)*)$")]
Subject = Annotated[str, Field(min_length=1)]
SpiffeId = Annotated[str, Field(pattern=r"^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$")]


class AccessError(DeclarationError):
    """An access file that cannot be used; the text tells all faults, and no value of a secret."""


class Rate(Section):
    """How often, in each process."""

    per_s: float = Field(gt=0)
    burst: int = Field(gt=0)  # at once, after a rest


class Key(Section):
    """An API key that is accepted."""

    sha256: str = Field(pattern=HASH_PATTERN)
    expires: date | None = None  # not on this day any more (UTC)


class DeclaredCaller(Section):
    """Somebody who may call, and how they prove who they are: any one of the ways."""

    name: Name  # in logs and traces
    roles: list[Annotated[Role, Field(strict=False)]] = Field(min_length=1)
    channels: list[Channel] = Field(default=[])  # that they may speak for; "*": all
    keys: list[Key] = Field(default=[])
    certificates: list[SpiffeId] = Field(default=[])
    subjects: list[Subject] = Field(default=[])  # `sub` of tokens
    rate: Rate | None = None


class DeclaredTokens(Section):
    """Whose tokens (JWT) are accepted, and what has to stand in them."""

    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    keys: str = Field(min_length=1)  # JWKS file, from where this file is
    algorithms: list[Annotated[Algorithm, Field(strict=False)]] = Field(
        default=list(Algorithm), min_length=1
    )
    claims: dict[str, str] = Field(default={})  # and their values, such as those of a tenant


class Declaration(Section):
    """All of it."""

    tenant: str = ""  # of the server whose access this is: its --tenant
    callers: list[DeclaredCaller] = Field(min_length=1)
    tokens: DeclaredTokens | None = None
    rates: dict[Channel, Rate] = Field(default={})  # by channel, of all callers together


class AccessFile:
    """An access file, and the JWKS file that it may name."""

    def __init__(self, path: Path, *, tenant: str) -> None:
        """Reads nothing yet."""
        self._path, self._tenant = path, tenant
        self._seen: tuple[bytes, bytes] | None = None

    def changed(self) -> tuple[Declaration, Tokens | None] | None:
        """What it says, if that is not what it said the last time; raises AccessError then."""
        try:
            said, troubles = self._read()
        except OSError as error:
            said, troubles = (b"", b""), [f"{error.filename} cannot be read: {error.strerror}"]
        if said == self._seen:
            return None
        self._seen = said
        if troubles:
            raise AccessError("\n".join(troubles))
        declared = self._parsed(said[0])
        tokens = declared.content.tokens
        if tokens is None:
            return declared.content, None
        try:
            return declared.content, Tokens(**tokens.model_dump() | {"keys": said[1]})
        except TokensError as error:
            raise AccessError(f"{self._path.parent / tokens.keys}: {error}") from None

    def _read(self) -> tuple[tuple[bytes, bytes], list[str]]:
        """The bytes of both files, and what is wrong with the first one."""
        content = self._path.read_bytes()
        try:
            tokens = self._parsed(content).content.tokens
        except AccessError as error:
            return (content, b""), [str(error)]
        return (content, (self._path.parent / tokens.keys).read_bytes() if tokens else b""), []

    def _parsed(self, content: bytes) -> Declared[Declaration]:
        try:
            declared = parse(content, self._path, Declaration, what="access file", secret=True)
            faults = [str(declared.fault(*each)) for each in _misfits(declared.content)]
            if declared.content.tenant != self._tenant:
                text = f"must be the --tenant of the server, {self._tenant!r}"
                faults.append(str(declared.fault(("tenant",), declared.content.tenant, text)))
        except DeclarationError as error:
            raise AccessError(str(error)) from None
        if faults:
            raise AccessError("\n".join(faults))
        return declared


def _misfits(declaration: Declaration) -> Iterator[tuple[Place, object, str]]:
    """What only shows to be wrong beside other things."""
    owners: dict[tuple[str, str], str] = {}
    for at, caller in enumerate(declaration.callers):
        marks = _marks(caller)
        for mark in marks:
            kind, value = mark
            if mark in owners:
                yield ("callers", at, kind), value, f"stands twice: {owners[mark]} has it"
            owners[mark] = caller.name
        name: Place = ("callers", at, "name")
        if len(marks) == 1:
            yield name, caller.name, "needs keys, certificates or subjects"
        if caller.subjects and declaration.tokens is None:
            yield name, caller.name, "has subjects, which needs the section tokens"
        if Right.DECIDE in rights_of(caller.roles) and not caller.channels:
            yield name, caller.name, "needs channels to speak for"


def _marks(caller: DeclaredCaller) -> list[tuple[str, str]]:
    """What no two callers may have in common, its name first."""
    return [
        ("name", caller.name),
        *(("keys", each.sha256) for each in caller.keys),
        *(("certificates", each) for each in caller.certificates),
        *(("subjects", each) for each in caller.subjects),
    ]
