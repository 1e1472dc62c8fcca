"""A fault that is tried: what is injected, what is promised, and what was seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks.fault.scene import Scene
from benchmarks.report import Figure


@dataclass(frozen=True, slots=True)
class Seen:
    """Figures with goals are the promise; the others, and the words, tell what happened."""

    figures: Sequence[Figure]
    words: str = ""

    @property
    def kept(self) -> bool | None:
        """Whether the promise was; None where nothing could be tried."""
        goals = [each.met for each in self.figures if each.goal is not None]
        return all(goals) if goals else None

    @property
    def text(self) -> str:
        """For a table."""
        told = [_told(each) for each in self.figures]
        return "; ".join([*told, self.words] if self.words else told)


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the record."""

    name: str
    injected: str
    promised: str
    attempt: Callable[[Scene], Seen]

    def figures(self, seen: Seen) -> list[Figure]:
        """As they stand among those of other faults."""
        return [replace(each, name=f"{self.name}: {each.name}") for each in seen.figures]


def none_of(name: str, count: int) -> Figure:
    """What must not happen at all."""
    return Figure(name, count, goal=0)


def all_of(name: str, count: int, whole: int) -> Figure:
    """What must happen every time, of so many times."""
    return Figure(f"{name}, of {whole:,}", count, goal=whole, better="higher")


def _told(figure: Figure) -> str:
    value = f"{figure.value:,.0f}" if figure.value == int(figure.value) else f"{figure.value:.3g}"
    return f"{figure.name}: {value} {figure.unit}".rstrip()
