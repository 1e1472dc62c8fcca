"""An event of another system: its fields taken out by name and kind, or refused by name."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from features.interaction import MAX_VALUE_BYTES, Violation, shown
from features.record import EPOCH

MAX_WHOLE = 2**31 - 1
WEB = "web"


class ConversionError(ValueError):
    """An event that is no interaction; names the field, its value, and what would be right."""

    def __init__(self, field: str, value: object, rule: str) -> None:
        self.violation = Violation(field, shown(value), rule)
        super().__init__(str(self.violation))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """What an event does not say of itself."""

    source: str
    channel: str = WEB  # of events that name no platform
    currency: str | None = None  # of amounts that name none


@dataclass(frozen=True, slots=True)
class Event:
    """A JSON object; `path` is where it stands in the whole event, for errors."""

    content: Mapping[str, Any]
    path: str = ""

    def text(self, name: str, *, required: bool = False) -> str | None:
        """A text, or a number as one; None where it is absent or empty."""
        value = self.content.get(name)
        if value is None or value == "":
            if required:
                raise self.refused(name, "is required")
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.refused(name, "must be a text")
        return str(value)

    def required_text(self, name: str) -> str:
        """A text that must be there."""
        return self.text(name, required=True) or ""

    def number(self, name: str) -> float | None:
        """A number, also one that stands as a text."""
        value = self.content.get(name)
        if value is None or value == "":
            return None
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise ValueError
            number = float(value)
        except (ValueError, OverflowError):
            raise self.refused(name, "must be a number such as 12.5") from None
        if not math.isfinite(number):
            raise self.refused(name, "must be a number such as 12.5")
        return number

    def whole(self, name: str) -> int | None:
        """A whole number, also one that stands as a text."""
        number = self.number(name)
        if number is None:
            return None
        if number != int(number) or abs(number) > MAX_WHOLE:
            raise self.refused(name, "must be a whole number such as 3")
        return int(number)

    def since_1970(self, name: str, *, per_second: int) -> datetime | None:
        """A time as a number of seconds, or of parts of a second, since 1970."""
        number = self.number(name)
        if number is None:
            return None
        try:
            return EPOCH + timedelta(microseconds=round(number * 1_000_000 / per_second))
        except OverflowError:
            rule = f"must be a time, 1/{per_second} s since 1970"
            raise self.refused(name, rule) from None

    def time(self, name: str) -> datetime | None:
        """A time as in ISO 8601; in UTC where it names no zone."""
        text = self.text(name)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return aware.astimezone(UTC)
        except (ValueError, OverflowError):
            rule = "must be a time as in ISO 8601, such as 2026-11-22T10:30:00Z"
            raise self.refused(name, rule) from None

    def part(self, name: str) -> "Event":
        """An object within; an empty one where it is absent."""
        value = self.content.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise self.refused(name, "must be an object")
        return Event(value or {}, self._path_of(name))

    def parts(self, name: str) -> "list[Event]":
        """The objects of a list within; none where it is absent."""
        value = self.content.get(name)
        path = self._path_of(name)
        if value is not None and not isinstance(value, list):
            raise self.refused(name, "must be a list")
        for place, each in enumerate(value or ()):
            if not isinstance(each, Mapping):
                raise ConversionError(f"{path}[{place}]", each, "must be an object")
        return [Event(each, f"{path}[{place}]") for place, each in enumerate(value or ())]

    def texts(self, name: str) -> list[str]:
        """The texts of a list within; none where it is absent."""
        value = self.content.get(name)
        if value is not None and not isinstance(value, list):
            raise self.refused(name, "must be a list")
        numbered = Event({f"{name}[{at}]": each for at, each in enumerate(value or ())}, self.path)
        return [numbered.required_text(each) for each in numbered.content]

    def refused(self, name: str, rule: str) -> ConversionError:
        """The error that says what is wrong with a field."""
        return ConversionError(self._path_of(name), self.content.get(name), rule)

    def _path_of(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def fingerprint(*parts: object) -> str:
    """An id of what has none: the same content gives the same, in whatever order it stands."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def facts(**values: str | None) -> dict[str, str]:
    """Attributes of those that are known, each cut to what an attribute may hold."""
    return {name: _cut(value) for name, value in values.items() if value}


def _cut(text: str) -> str:
    return text.encode(errors="replace")[:MAX_VALUE_BYTES].decode(errors="ignore")
