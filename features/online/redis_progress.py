"""What Redis holds of the log: applied positions, and marks that go when data is lost."""

from collections.abc import Sequence
from functools import cache
from itertools import count

from features.online.contract import gaps
from features.online.redis_link import SLOT_COUNT, RedisLink, slot_of, trips
from features.online.redis_scripts import NOTE, NOTED

POSITIONS_A_TRIP = 1000
SLOTS_A_MARK = 256  # of a cluster: each server with that many in a row has a mark of its own


class RedisProgress:
    """contract.Progress in Redis: for each stream a position and what is noted behind it."""

    def __init__(self, link: RedisLink, project: str) -> None:
        """Touches nothing yet."""
        self._link = link
        self._project = project

    def applied_position(self, stream: str) -> int:
        """Up to where the store holds a stream of the log; 0 for a store that was lost."""
        (found,) = self._link.ask(
            f"say what it holds of {stream}", [("GET", self._keys(stream)[0])]
        )
        return int(found or 0)

    def advance(self, stream: str, position: int) -> None:
        """Notes that everything up to `position` has been written; call it after the writes."""
        self._note(stream, position, ())

    def note_applied(self, stream: str, positions: Sequence[int]) -> None:
        """Notes single positions, in any order; call it after the writes."""
        for part in trips(positions, POSITIONS_A_TRIP):
            self._note(stream, 0, part)

    def _note(self, stream: str, up_to: int, positions: Sequence[int]) -> None:
        call = (2, *self._keys(stream), up_to, *positions)
        self._link.run(f"note what it holds of {stream}", NOTE, [call])

    def missing(self, stream: str, up_to: int, limit: int) -> list[int]:
        """The first positions up to `up_to` that nobody has noted, ascending."""
        doing, found, after, applied = f"say what it lacks of {stream}", list[int](), 0, 0
        while after < up_to and len(found) < limit:
            call = (2, *self._keys(stream), max(after, applied), POSITIONS_A_TRIP)
            ((position, members),) = self._link.run(doing, NOTED, [call])
            applied, noted = int(position), [int(each) for each in members]
            end = noted[-1] if len(noted) == POSITIONS_A_TRIP else up_to
            found += gaps(max(after, applied), noted, min(end, up_to), limit - len(found))
            after = max(end, applied)
        return [each for each in found if each > applied]  # others have been noted meanwhile

    def _keys(self, stream: str) -> tuple[str, str]:
        both = f"{{{self._project}:{stream}}}"  # in braces: one slot
        return f"{both}:applied", f"{both}:noted"

    def mark_whole(self, log_id: str) -> None:
        """Notes that the store holds all that it should of a log; goes when the store is lost."""
        marks = _marks(self._link, self._project)
        self._link.ask("be marked as whole", [("SET", each, log_id) for each in marks])

    def is_whole(self, log_id: str) -> bool:
        """Whether the store was marked as whole, and has not been lost since."""
        return self.marked_logs() == {log_id}

    def marked_logs(self) -> frozenset[str]:
        """The log of which the store holds all that it should; empty texts where it does not."""
        marks = _marks(self._link, self._project)
        found = self._link.ask("say whether it is whole", [("GET", each) for each in marks])
        return frozenset((each or b"").decode() for each in found)


def marks_of(link: RedisLink, project: str, keys: Sequence[bytes]) -> list[str]:
    """The marks that are lost together with these keys."""
    if not link.clustered:
        return _marks(link, project)
    return [_mark(project, each) for each in {slot_of(key) // SLOTS_A_MARK for key in keys}]


def _marks(link: RedisLink, project: str) -> list[str]:
    if not link.clustered:
        return [f"{project}:whole"]
    return [_mark(project, block) for block in range(SLOT_COUNT // SLOTS_A_MARK)]


@cache
def _mark(project: str, block: int) -> str:
    """A key that Redis Cluster keeps in this block of slots, for the tag in its braces."""
    tags = (str(number) for number in count())
    tag = next(each for each in tags if slot_of(each.encode()) // SLOTS_A_MARK == block)
    return f"{project}:whole:{{{tag}}}"
