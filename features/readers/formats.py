"""Which formats can be imported, and which of them a path most likely has."""

from pathlib import Path

from features.readers import complete_journey, events, online_retail, tabular, tmall
from features.readers.mapping import FieldMapping
from features.readers.reading import Reading, UnreadableSourceError
from features.vocabulary import Vocabulary

KNOWN = {
    "tmall": (tmall.read, tmall.FILE),
    "online-retail": (online_retail.read, online_retail.FILE),
    "complete-journey": (complete_journey.read, complete_journey.MARK),
}
"""Formats of one data set each: how it is read, and the file that gives it away."""
FORMATS = (*KNOWN, *tabular.SUFFIXES, *events.CONVERTERS)


def open_source(
    path: Path,
    *,
    format: str | None,
    source: str | None,
    mapping: FieldMapping,
    vocabulary: Vocabulary,
) -> Reading:
    """Begins to read a source; raises UnreadableSourceError naming what is wrong with it."""
    if not path.exists():
        raise UnreadableSourceError(f"{path} does not exist")
    name = format or guess(path)
    own_name = source or path.name.split(".")[0] or name
    if name in events.CONVERTERS:
        return events.read(path, format=name, source=own_name, mapping=mapping)
    if name not in KNOWN:
        return tabular.read(
            path,
            format=name,
            source=own_name,
            mapping=mapping,
            vocabulary=vocabulary,
        )
    if mapping != FieldMapping():
        raise UnreadableSourceError(f"{name} needs no mapping; say --format csv to map it yourself")
    read, _ = KNOWN[name]
    return read(path, source=source or name)


def guess(path: Path) -> str:
    """The format that a path's name, or the files in the folder, give away."""
    names = [each.name for each in path.iterdir()] if path.is_dir() else [path.name]
    found = {format for format, (_, file) in KNOWN.items() if file in names}
    if not found:
        found = {
            format
            for format, endings in tabular.SUFFIXES.items()
            if any(name.endswith(endings) for name in names)
        }
    if len(found) == 1:
        return found.pop()
    raise UnreadableSourceError(
        f"{path} could be of {'more than one' if found else 'any'} format: "
        f"say --format with one of {', '.join(FORMATS)}"
    )
