"""The life of the server: start-up, main loop, shutdown."""

import asyncio
import gc
import logging
from collections.abc import Callable
from pathlib import Path

import prometheus_client  # noqa: F401  # before feast, which would change its mode
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from features.live import LiveFeatures
from features.policy.declaration import PolicyError
from features.settings import Home
from serving.access.entrance import Entrance
from serving.access.reflection import add_reflection
from serving.calls import Calls
from serving.customers import Customers
from serving.decider import Decider
from serving.engine.link import EngineLink
from serving.errors import UnavailableError
from serving.memory import Memory
from serving.metrics import Metrics, serve
from serving.model.champion import Champion
from serving.model.device import provider_of
from serving.model.registry import Model, Registry
from serving.policy.terms import PolicyFile
from serving.processes.health import OVERALL, Health
from serving.processes.leisure import Breathe
from serving.processes.listening import listen, show_health
from serving.processes.port import StartError, hold
from serving.rollout.following import Following
from serving.service import PERSONALIZATION, SERVICES, Service
from serving.settings import ServingSettings
from serving.tracing import Tracing

HEALTH = "grpc.health.v1.Health"

logger = logging.getLogger(__name__)


class Server:
    """One process that answers."""

    def __init__(
        self,
        settings: ServingSettings,
        tracing: Tracing | None = None,
        *,
        shared: bool = False,
        engine: Path | None = None,
    ) -> None:
        """Does nothing yet: see serve(). Others may answer on a shared port; ends the tracing.

        `engine` is the socket of the process that runs the model, if this one does not.
        """
        self._tracing = tracing
        self._engine = engine
        self._shared = shared
        self.port = 0  # known once started
        self.metrics = Metrics()
        self._settings = settings
        self._stop = asyncio.Event()
        self._how_to_load = f"run python -m features materialize --home {settings.home}"

    async def serve(self, announce: Callable[[str], None]) -> None:
        """Runs until stop(); announces in one line what answers and where."""
        await self.startup()
        announce(self.describe())
        await self.main_loop()
        await self.shutdown()

    async def startup(self) -> None:
        """Opens the features, loads the champion, then listens; returns when calls are answered."""
        self.entrance = Entrance(self._settings, self.metrics)  # or says at once what is missing
        if self._engine is None:
            provider_of(self._settings.device)  # likewise
        host, port = self._settings.host, self._settings.port
        self._close_metrics = self._show_metrics()
        self._holder = None if self._shared else hold(host, port)
        live = await asyncio.to_thread(LiveFeatures, self._settings)
        self.memory = Memory(live, self._settings, self.metrics)
        await self.memory.read_catalog()
        self.customers = Customers(self.memory, self._settings)
        self._registry = Registry(self._settings, self.memory.vocabulary)
        self._turns = Home(self._settings.home).turns
        self._champion = Champion(self._registry.champion, self._load, turns=self._turns)
        self._link = await self._connect()
        self._policy = PolicyFile(self._settings.policy, self.memory.vocabulary)
        terms = await asyncio.to_thread(self._policy.changed)
        assert terms is not None  # it has never been looked at
        self.decider = Decider(self.memory, self._settings, self.metrics, terms, self._link)
        self._health = Health()
        self._following = Following(
            self.decider, self.memory, self._registry, self.metrics, home=Home(self._settings.home)
        )
        await self.refresh()
        await self.memory.start()
        await self._start_answering()

    def _show_metrics(self) -> Callable[[], None]:
        """Answers Prometheus; gives what ends that."""
        host, port = self._settings.host, self._settings.metrics_port
        if not port:
            return lambda: None
        try:
            return serve(host, port, self.metrics.registry)
        except OSError as error:
            text = f"cannot show metrics on {host}:{port}: {error}. Try another --metrics-port"
            raise StartError(text) from error

    async def _connect(self) -> EngineLink | None:
        """To the engine, if there is one, once it can be asked. It says which model answers."""
        if self._engine is None:
            return None
        link = EngineLink(self._engine, self.memory.vocabulary.predicted, self.metrics)
        self._champion = Champion(
            lambda: link.version or None,
            lambda version, breathe: self._registry.outline(version, link.provider, breathe),
            turns=self._turns,
        )
        self.memory.on_items = link.renew
        link.start()
        await _either(link.greeted, self._stop)
        return link

    async def _start_answering(self) -> None:
        """Only now does anybody connect: nobody waits for what is still loading."""
        port = self._settings.port
        if self._holder is not None:
            port = self._holder.getsockname()[1]
            self._holder.close()
        entrance, shared = self.entrance, self._shared
        self._grpc, self.port = listen(self._settings, port, entrance.credentials(), shared=shared)
        calls = Calls(self.metrics, self._tracing, entrance.guard)
        self._service = Service(
            self.memory, self.customers, self.decider, self._registry, calls, self._settings
        )
        self._grpc.add_generic_rpc_handlers(self._service.handlers())
        add_HealthServicer_to_server(self._health, self._grpc)
        names = [each.full_name for each in SERVICES]
        add_reflection([*names, HEALTH], entrance.guard, self._grpc)
        for name in (OVERALL, *names):
            ready = name != PERSONALIZATION or self.decider.model is not None
            self._health.set(name, serving=ready)
        # What start-up made stays: leaving it out of collections removes pauses of milliseconds.
        gc.collect()
        gc.freeze()
        await self._grpc.start()
        self._probes = await show_health(self._settings, self._health, shared=self._shared)

    def describe(self) -> str:
        """One line: where it listens and what it answers with."""
        address = f"{self._settings.host}:{self.port}"
        model = self.decider.model
        if model is None:
            return f"NO MODEL yet on {address}: recording; {self.decider.how_to_train}"
        provider = model.scorer.provider
        name = Home(self._settings.home, tenant=self._settings.tenant).model_name
        return f"SERVING on {address}: model {model.version} of {name} on {provider}"

    async def main_loop(self) -> None:
        """Looks for a new champion now and then, until told to stop."""
        while not self._stop.is_set():
            try:
                await asyncio.wait_for(self._stop.wait(), self._settings.refresh_s)
            except TimeoutError:
                await self.learn_erasures()
                await self.refresh()

    async def learn_erasures(self) -> None:
        """Hears who was erased elsewhere; if the log cannot tell, it is asked again next time."""
        try:
            await self.memory.learn_erasures()
        except UnavailableError as error:
            logger.error("the erasures cannot be read: %s", error)

    async def refresh(self) -> None:
        """Takes a changed policy into use, a new champion, or what an engine runs, and a canary."""
        await asyncio.to_thread(self.entrance.refresh)
        await self._follow_policy()
        await self._follow_champion()
        following = self._following
        await (following.refresh() if self._link is None else following.pass_over())

    async def _follow_champion(self) -> None:
        serving, link = self.decider.model, self._link
        if link is not None and serving is not None and link.provider != serving.scorer.provider:
            serving = None  # a new engine may run the same model on something else
        model = await self._champion.after(serving)
        if model is None:
            self.decider.tell_provider()
            return
        try:
            await self._use(model)
        except UnavailableError as error:  # the next look will find it again
            logger.error("model %s has to wait: %s", model.version, error)

    def _load(self, version: str, breathe: Breathe) -> Model:
        """A canary that is promoted is loaded already."""
        return self._following.model_of(version) or self._registry.load(version, breathe)

    async def _follow_policy(self) -> None:
        try:
            terms = await asyncio.to_thread(self._policy.changed)
        except PolicyError as error:
            held = self.decider.terms.policy.version
            logger.error("policy %s goes on, as the new one has faults:\n%s", held, error)
            return
        if terms is not None:
            self.decider.terms = terms
            logger.info("policy %s decides from now on", terms.policy.version)

    async def _use(self, model: Model) -> None:
        catalog = await self.memory.aligned(model.scorer.items, model.content)
        if self.decider.model is not None:
            logger.info("model %s serves from now on", model.version)
        if not catalog.axis.available_V.any():
            logger.warning("the catalog offers none of the model's items: %s", self._how_to_load)
        self.decider.use(model, catalog)
        self._health.set(PERSONALIZATION, serving=True)

    def stop(self) -> None:
        """Ends serve(), after the calls in flight."""
        self._stop.set()

    async def shutdown(self) -> None:
        """Reports NOT_SERVING, finishes the calls in flight, closes the log."""
        self._health.end()
        self._service.end_conversations()
        await self._grpc.stop(self._settings.grace_s)
        if self._probes is not None:  # which heard NOT_SERVING until now
            await self._probes.stop(self._settings.grace_s)
        await self._service.close()
        await self.decider.close()
        await self._following.close()
        await self.customers.close()
        await self.memory.close()
        if self._link is not None:
            await self._link.close()
        await asyncio.to_thread(self._close_metrics)
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)
        gc.unfreeze()


async def _either(*events: asyncio.Event) -> None:
    """Waits for one of them."""
    waiting = [asyncio.ensure_future(each.wait()) for each in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()
