"""The type vocabulary: which interaction types and channels there are, and what each is worth."""

import hashlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

OTHER_CHANNEL = "other"
OTHER_CHANNEL_CODE = 31
SILENCE = "silence"  # the name, among predicted types, of "no interaction within the horizon"
DEFAULT_RETENTION_DAYS = 3650
MAX_DAYS = 36_500
DEFAULT_PATH = Path(__file__).with_name("vocabulary.toml")


class Initiator(StrEnum):
    """Which side of the conversation began an interaction."""

    CUSTOMER = "CUSTOMER"
    COMPANY = "COMPANY"


class VocabularyError(ValueError):
    """A vocabulary file that cannot be used; the text names the entry and what would be right."""


@dataclass(frozen=True, slots=True)
class InteractionType:
    """One declared type; see vocabulary.toml for what each field means."""

    name: str
    code: int
    initiator: Initiator
    transaction: bool
    predicted: bool
    customer_value: float
    company_value: float
    retention_days: int


@dataclass(frozen=True)
class Vocabulary:
    """Declared types and channels, by name and by code."""

    types: dict[str, InteractionType]
    channels: dict[str, int]
    retention_days: int = DEFAULT_RETENTION_DAYS  # of types that are no longer declared

    @cached_property
    def type_by_code(self) -> dict[int, InteractionType]:
        """Types by their packed code."""
        return {each.code: each for each in self.types.values()}

    @cached_property
    def channel_by_code(self) -> dict[int, str]:
        """Channel names by their packed code."""
        return {code: name for name, code in self.channels.items()}

    @cached_property
    def predicted(self) -> tuple[str, ...]:
        """The types that the model predicts, in code order: the axis T of its answers."""
        ordered = sorted(self.types.values(), key=lambda each: each.code)
        return tuple(each.name for each in ordered if each.predicted)

    @cached_property
    def digest(self) -> str:
        """Changes whenever a packed record or a prediction would mean something else."""
        types = sorted((t.name, t.code, t.predicted) for t in self.types.values())
        text = repr((types, sorted(self.channels.items())))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def channel_code(self, channel: str) -> int:
        """The packed code of a channel; channels not listed share OTHER_CHANNEL_CODE."""
        return self.channels.get(channel, OTHER_CHANNEL_CODE)


def load_vocabulary(path: Path = DEFAULT_PATH) -> Vocabulary:
    """Reads a vocabulary file; raises VocabularyError naming the entry that is wrong."""
    with path.open("rb") as file:
        try:
            content = tomllib.load(file)
        except tomllib.TOMLDecodeError as error:
            raise VocabularyError(f"{path}: {error}") from error
    days = _days("retention_days", content, DEFAULT_RETENTION_DAYS)
    entries = content.get("types", {}).items()
    types = {name: _read_type(name, entry, days) for name, entry in entries}
    channels = {str(name): int(code) for name, code in content.get("channels", {}).items()}
    _check_codes("type", ((t.name, t.code) for t in types.values()), highest=255)
    _check_codes("channel", channels.items(), highest=OTHER_CHANNEL_CODE - 1)
    if not any(each.predicted for each in types.values()):
        raise VocabularyError(f"{path}: no type is predicted; the model needs at least one")
    return Vocabulary(types, channels, days)


def _read_type(name: str, entry: dict[str, object], default_days: int) -> InteractionType:
    try:
        return InteractionType(
            name=name,
            code=int(str(entry["code"])),
            initiator=Initiator(str(entry["initiator"])),
            transaction=bool(entry["transaction"]),
            predicted=bool(entry["predicted"]),
            customer_value=float(str(entry["customer_value"])),
            company_value=float(str(entry["company_value"])),
            retention_days=_days(f"type {name!r}", entry, default_days),
        )
    except (KeyError, ValueError) as error:
        raise VocabularyError(f"type {name!r}: {error!r} in {entry!r}") from error


def _days(place: str, entry: dict[str, object], default: int) -> int:
    """How long interactions are kept; 0 or absent means the default."""
    given = entry.get("retention_days", 0)
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MAX_DAYS:
        rule = f"must be whole days, 1 to {MAX_DAYS}, or 0 for the default"
        raise VocabularyError(f"{place}: retention_days is {given!r}: {rule}")
    return given or default


def _check_codes(kind: str, codes: Iterable[tuple[str, int]], *, highest: int) -> None:
    seen: dict[int, str] = {}
    for name, code in codes:
        if not 1 <= code <= highest:
            raise VocabularyError(f"{kind} {name!r}: code {code} is not within 1..{highest}")
        if code in seen:
            raise VocabularyError(f"{kind} {name!r}: code {code} already means {seen[code]!r}")
        seen[code] = name
