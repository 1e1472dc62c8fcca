"""Scrubbing: what was deleted from a SQLite file leaves no copy in its free space or its WAL.

SQLite overwrites deleted rows (PRAGMA secure_delete), but not the copies that splitting a page
left behind; only VACUUM removes those, which writes the whole file again while writers wait.
"""

import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

BLOCK_BYTES = 1 << 20
BUSY_TIMEOUT_S = 5.0


def scrub(path: Path, texts: Collection[str]) -> bool:
    """Makes a SQLite file free of texts that no row holds; whether it is free of them now.

    A text so short that it stands elsewhere by chance costs a VACUUM and gives False.
    """
    if not path.exists() or not texts:
        return True
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as file:
            _checkpoint(file)
            if holds(path, texts):
                file.execute("VACUUM")
                _checkpoint(file)
    except sqlite3.OperationalError:  # another program kept it busy for too long
        return False
    return not holds(path, texts)


def holds(path: Path, texts: Collection[str]) -> bool:
    """Whether a file, or the WAL of a SQLite file, holds one of these texts."""
    pattern = re.compile(b"|".join(re.escape(each.encode()) for each in texts))
    longest = max(len(each.encode()) for each in texts)
    files = (path, path.with_name(f"{path.name}-wal"))
    return any(pattern.search(block) for file in files for block in _blocks(file, longest))


def _checkpoint(file: sqlite3.Connection) -> None:
    file.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _blocks(path: Path, overlap: int) -> Iterator[bytes]:
    """The file's bytes in blocks that begin with the end of the one before."""
    if not path.exists():
        return
    tail = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield tail + block
            tail = block[-overlap:]
