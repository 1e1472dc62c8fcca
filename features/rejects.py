"""What an import refused: a CSV file with the place, the field, the value and the broken rule."""

import csv
from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import TracebackType
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Reject:
    """One rule that a row breaks; a row that breaks two has two rejects."""

    file: str
    row: int  # from 1, not counting a header
    field: str
    value: str
    rule: str


class RejectFile(AbstractContextManager["RejectFile"]):
    """Writes rejects as they come; the file appears when the import ends, if there are any."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{quote(name, safe=' ')[:200]}.csv"
        self.reasons: Counter[tuple[str, str]] = Counter()
        self._unfinished = self.path.with_suffix(".unfinished")
        self._file = self._unfinished.open(
            "w", newline="", encoding="utf-8", errors="backslashreplace"
        )
        self._writer = csv.writer(self._file)
        self._writer.writerow(each.name for each in fields(Reject))

    def add(self, rejects: Iterable[Reject]) -> None:
        """Writes rejects, and counts them by field and rule."""
        for each in rejects:
            self._writer.writerow(astuple(each))
            self.reasons[each.field, each.rule] += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if error is not None or not self.reasons:
            self._unfinished.unlink(missing_ok=True)
        else:
            self._unfinished.replace(self.path)
        if error is None and not self.reasons:
            self.path.unlink(missing_ok=True)
