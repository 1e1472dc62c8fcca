"""Which formats can be imported, and which of them a path most likely has."""

from pathlib import Path

from features.readers import complete_journey, online_retail, tmall
from features.readers.reading import Reading, UnreadableSourceError

FORMATS = {
    "tmall": tmall.read,
    "online-retail": online_retail.read,
    "complete-journey": complete_journey.read,
}
NAMES = {
    tmall.FILE: "tmall",
    online_retail.FILE: "online-retail",
    complete_journey.MARK: "complete-journey",
}


def open_source(path: Path, *, format: str | None, source: str | None) -> Reading:
    """Begins to read a source; raises UnreadableSourceError naming what is wrong with it."""
    if not path.exists():
        raise UnreadableSourceError(f"{path} does not exist")
    name = format or guess(path)
    return FORMATS[name](path, source=source or name)


def guess(path: Path) -> str:
    """The format that a path's name, or a file in the folder, gives away."""
    files = [each.name for each in path.iterdir()] if path.is_dir() else [path.name]
    found = {NAMES[each] for each in files if each in NAMES}
    if len(found) == 1:
        return found.pop()
    raise UnreadableSourceError(
        f"{path} could be of any format: say --format with one of {', '.join(FORMATS)}"
    )
