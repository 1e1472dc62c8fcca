"""The champion: the version that ought to serve, looked for now and then."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from mlflow.exceptions import MlflowException

from features.artefact import ArtefactError
from serving.model.registry import Model
from serving.processes.leisure import Breathe, at_leisure, in_haste
from serving.processes.turn import turn

logger = logging.getLogger(__name__)


class Champion:
    """Refuses a version that must not serve once and for all."""

    def __init__(
        self, find: Callable[[], str | None], load: Callable[[str, Breathe], Model], *, turns: Path
    ) -> None:
        """`find` and `load` block. Who serves already loads at leisure, in turn with others.

        `turns` is the file that tells whose turn it is.
        """
        self._find, self._load, self._turns = find, load, turns
        self._refused = set[str]()
        self._trouble = ""  # what was last logged about the registry

    async def after(self, serving: Model | None) -> Model | None:
        """The model to serve instead of this one; None where that is right, or nothing better."""
        version = None
        try:
            version = await asyncio.to_thread(self._find)
            right = serving.version if serving else None
            if version is None or version == right or version in self._refused:
                return None
            if serving is None:
                return await asyncio.to_thread(self._load, version, in_haste)
            return await asyncio.to_thread(self._in_turn, version)
        except ArtefactError as error:
            self._refused.add(str(version))
            logger.error("model %s is refused: %s", version, error)
        except (MlflowException, OSError) as error:
            if str(error) != self._trouble:
                logger.error("the model registry cannot be read: %s", error)
            self._trouble = str(error)
        except Exception:  # whatever is wrong with a version, who serves goes on looking
            self._refused.add(str(version))
            logger.exception("model %s is refused: it cannot be loaded", version)
        return None

    def _in_turn(self, version: str) -> Model:
        with turn(self._turns):
            return self._load(version, at_leisure())
