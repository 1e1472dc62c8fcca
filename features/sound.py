"""What is not as it should be in an artefact is told as one kind of error, which names the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile
from zlib import error as ZlibError

import pyarrow as pa

UNSOUND = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, EOFError, AttributeError),
    *(NotImplementedError, BadZipFile, ZlibError, pa.ArrowException),
)
"""What the libraries raise for files that are not what they should be."""


class ArtefactError(ValueError):
    """An artefact that must not serve; the text names the file and what is wrong with it."""


@contextmanager
def sound(path: Path) -> Iterator[None]:
    """What a file is not, though it should, becomes an ArtefactError that names it."""
    try:
        yield
    except ArtefactError:
        raise
    except UNSOUND as error:
        raise ArtefactError(f"{path} cannot be used: {error!r}") from error
