"""Following: what the registry has beside the champion is taken into use, and let go of.

A canary that is surely worse is dropped here at once, and withdrawn in the registry, so that all
others drop it with their next look. Where that cannot be written, the next look tries again.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from mlflow.exceptions import MlflowException

from features.artefact import ArtefactError
from features.rollout import ALIASES, ARTEFACT, CANARY, Fault, Rollout, kind_of
from features.settings import Home
from serving.decider import Decider
from serving.errors import NotFoundError, UnavailableError
from serving.memory import Memory
from serving.metrics import Metrics
from serving.model.registry import Model, Registry
from serving.model.scorer import Scorer
from serving.processes.leisure import Breathe, at_leisure, in_haste
from serving.processes.turn import turn
from serving.rollout.canary import Canary, Pair
from serving.rollout.shadow import Shadow

TROUBLE = (MlflowException, OSError, NotFoundError, ValueError)
"""Of a registry that is away, or in which something makes no sense."""

logger = logging.getLogger(__name__)


class Following:
    """Keeps a decider's canary and shadow as the registry says."""

    def __init__(
        self, decider: Decider, memory: Memory, registry: Registry, metrics: Metrics, *, home: Home
    ) -> None:
        """Who serves already loads at leisure, and in turn with the others of this home."""
        self._decider, self._memory = decider, memory
        self._registry, self._metrics, self._turns = registry, metrics, home.turns
        self._held: dict[str, Canary | Shadow] = {}
        self._refused = set[Rollout]()
        self._pending: dict[Rollout, Fault] = {}  # withdrawn here, and not yet in the registry
        self._writing: asyncio.Task[None] | None = None
        self._trouble: dict[str, str] = {}  # what was last logged, by what it is about
        self._breathing: Callable[[], Breathe] = lambda: in_haste  # nobody is answered yet

    def model_of(self, version: str) -> Model | None:
        """The canary's, if it is this version, and nothing runs it now."""
        canary = self._decider.canary
        if canary is None or canary.rollout.version != version or canary.is_running:
            return None
        return canary.pair.model

    async def refresh(self) -> None:
        """Looks at each alias once."""
        await self._write_pending()
        for alias, wanted in (await self._wanted()).items():
            await self._follow(alias, wanted)
        self._breathing = at_leisure

    async def pass_over(self) -> None:
        """Says once what is there and not taken: an engine runs one model for all processes."""
        for alias, rollout in (await self._wanted()).items():
            if rollout is not None:
                text = "is not taken into use: with --engine the champion answers alone"
                told = f"model {rollout.version}, the {alias}, {text}"
                self._say_once(alias, told, level=logging.WARNING)

    async def close(self) -> None:
        """Tells the registry what it is to know, if it can be told."""
        await self._write_pending()
        for alias in list(self._held):
            self._drop(alias)

    async def _follow(self, alias: str, wanted: Rollout | None) -> None:
        held = self._held.get(alias)
        if held is not None and held.rollout == wanted:
            return
        spare = self.model_of(wanted.version) if wanted is not None else None
        if held is not None:
            await self._let_go(held.rollout)
        if wanted is not None and wanted not in self._refused:
            await self._take(wanted, spare)

    async def _wanted(self) -> dict[str, Rollout | None]:
        """What ought to be under each alias, but for those of which that cannot be told."""
        found: dict[str, Rollout | None] = {}
        try:
            versions = await asyncio.to_thread(self._registry.aliases)
        except TROUBLE as error:
            self._say_once("aliases", f"what stands beside the champion cannot be told: {error}")
            return found
        for alias in ALIASES:
            try:
                found[alias] = await self._rollout(alias, versions.get(alias))
            except TROUBLE as error:
                self._say_once(alias, f"what the {alias} is cannot be told: {error}")
        return found

    async def _rollout(self, alias: str, version: str | None) -> Rollout | None:
        """Never the champion itself."""
        champion = self._decider.model
        if version is None or champion is None or version == champion.version:
            return None
        return await asyncio.to_thread(self._registry.rollout, alias, version)

    async def _take(self, rollout: Rollout, spare: Model | None) -> None:
        about = f"model {rollout.version}, the {rollout.alias},"
        try:
            model = spare
            if model is None:
                model = await asyncio.to_thread(self._load, rollout.version)
            catalog = await self._memory.aligned(model.scorer.items, model.content)
        except ArtefactError as error:
            self._withdraw(rollout, Fault(ARTEFACT, str(error)))
        except UnavailableError as error:  # the next look will find it again
            self._say_once(rollout.alias, f"{about} has to wait: {error}")
        except (MlflowException, OSError) as error:
            self._say_once(rollout.alias, f"{about} cannot be read: {error}")
        except Exception:  # whatever is wrong with a version, who serves goes on
            self._refused.add(rollout)
            logger.exception("%s is refused: it cannot be loaded", about)
        else:
            self._trouble.pop(rollout.alias, None)
            self._use(rollout, Pair(model, catalog))

    def _load(self, version: str) -> Model:
        with turn(self._turns):
            return self._registry.load(version, self._breathing())

    def _use(self, rollout: Rollout, pair: Pair) -> None:
        if rollout.alias == CANARY:
            if isinstance(pair.model.scorer, Scorer):
                pair.model.scorer.on_run = self._metrics.ran
            canary = Canary(rollout, pair, self._metrics, self._withdraw)
            self._held[CANARY] = self._decider.canary = canary
            whom = "of the customers are its own"
        else:
            shadow = Shadow(rollout, pair, self._metrics)
            self._held[rollout.alias] = self._decider.shadow = shadow
            whom = "of the decisions are put to it as well"
        self._hold(rollout, held=True)
        about = rollout.version, rollout.alias, f"{rollout.share:.3g}", whom
        logger.info("model %s is the %s from now on: a share of %s %s", *about)

    async def _let_go(self, rollout: Rollout) -> None:
        """Of what the registry has no more; calls in flight end with theirs."""
        self._drop(rollout.alias)
        why = ""
        with suppress(*TROUBLE):
            why = await asyncio.to_thread(self._registry.why_withdrawn, rollout.version)
        if kind := kind_of(why):
            self._metrics.withdrew(rollout.alias, kind)
        about = rollout.version, rollout.alias, f": {why}" if why else ""
        logger.info("model %s is the %s no more%s", *about)

    def _drop(self, alias: str) -> None:
        held = self._held.pop(alias, None)
        if held is None:
            return
        if alias == CANARY:
            self._decider.canary = None
        else:
            self._decider.shadow = None
        self._hold(held.rollout, held=False)

    def _hold(self, rollout: Rollout, *, held: bool) -> None:
        self._memory.beside = tuple(each.pair.catalog for each in self._held.values())
        self._metrics.holds(rollout.alias, rollout.version, held=held)

    # ---- Withdrawing ---------------------------------------------------------------------------

    def _withdraw(self, rollout: Rollout, fault: Fault) -> None:
        """At once here, and as soon as it can be in the registry."""
        self._refused.add(rollout)
        self._drop(rollout.alias)
        self._metrics.withdrew(rollout.alias, fault.kind)
        logger.error("model %s is withdrawn as %s; %s", rollout.version, rollout.alias, fault)
        self._pending[rollout] = fault
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write_pending(self) -> None:
        if self._writing is not None:
            await self._writing
        await self._write()

    async def _write(self) -> None:
        for rollout, fault in list(self._pending.items()):
            try:
                await asyncio.to_thread(self._registry.withdraw, rollout, str(fault))
            except NotFoundError:  # the version is gone, and its alias with it
                pass
            except (MlflowException, OSError) as error:
                text = f"that model {rollout.version} is withdrawn cannot be written: {error}"
                self._say_once("withdrawing", text)
                return
            self._pending.pop(rollout, None)
            self._trouble.pop("withdrawing", None)

    def _say_once(self, about: str, text: str, *, level: int = logging.ERROR) -> None:
        if self._trouble.get(about) != text:
            logger.log(level, text)
        self._trouble[about] = text
