"""The settings of the server."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from features.cores import cores
from features.interaction import Purpose
from features.policy.declaration import DEFAULT_PATH
from features.privacy.consent import parse_purposes
from features.settings import FeatureSettings

LEAST = {
    "port": 0,
    "metrics_port": 0,
    "health_port": 0,
    "max_batch": 1,
    "max_queue": 1,
    "threads": 0,
    "processes": 0,
    "refresh_s": 0.01,
    "grace_s": 0,
    "connection_age_s": 0.01,
    "log_candidates": 0,
    "log_share": 0,
    "conversations": 0,
    "idle_s": 0.01,
    "max_records": 1,
    "read_ms": 1,
    "sweep_s": 0.01,
}
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSettings(FeatureSettings):
    """What `python -m serving` can be told."""

    host: Annotated[str, "address to listen on"] = "127.0.0.1"
    port: Annotated[int, "port to listen on; 0 picks a free one"] = 50051
    access: Annotated[str, "YAML file: who may call; a change holds within --refresh-s"] = ""
    tls_certificate: Annotated[str, "PEM file of the server's certificate, and its chain"] = ""
    tls_key: Annotated[str, "PEM file of its key; a new pair is taken up while running"] = ""
    client_ca: Annotated[str, "PEM file: whoever connects needs a certificate that it signed"] = ""
    insecure: Annotated[bool, "answers anybody, in plaintext, on loopback only"] = False
    trust_network: Annotated[
        bool, "no TLS of our own: a mesh or gateway encrypts; --access still says who may call"
    ] = False
    max_batch: Annotated[int, "calls answered together at most"] = 32
    max_queue: Annotated[int, "calls that may wait; one more is refused at once"] = 512
    read_ms: Annotated[float, "how long a read may take; then the answer goes without"] = 50.0
    sweep_s: Annotated[float, "how often what others left or changed is looked for"] = 1.0
    processes: Annotated[int, "processes that share the port; 0 means one for each core"] = 1
    own_cores: Annotated[bool, "each of several processes keeps to cores of its own"] = True
    engine: Annotated[
        bool, "one more process runs the model for all; always so for several with --device cuda"
    ] = False
    policy: Annotated[Path, "YAML file: what decides; a change holds from then on"] = DEFAULT_PATH
    device: Annotated[str, "what runs the model: auto (CUDA where it works), cpu, cuda"] = "auto"
    threads: Annotated[int, "threads of one model run; 0 shares the cores among processes"] = 0
    refresh_s: Annotated[float, "how often the registry is asked for a new champion"] = 5.0
    grace_s: Annotated[float, "how long calls in flight may take at shutdown"] = 10.0
    connection_age_s: Annotated[
        float, "after that a connection is closed, so that its client finds new servers"
    ] = 300.0
    conversations: Annotated[int, "conversations open at once in a process, at most"] = 1000
    idle_s: Annotated[float, "after that a conversation in which nothing is said ends"] = 300.0
    metrics_port: Annotated[int, "port of Prometheus' metrics at /metrics; 0: none"] = 0
    health_port: Annotated[
        int, "port that has nothing but the health checks, always in plaintext; 0: none"
    ] = 0
    assumed_consent: Annotated[
        str, "purposes allowed where a customer has said nothing: personalization, measurement, ..."
    ] = ""
    log_candidates: Annotated[
        int, "candidates of each decision that the decision log keeps; 0: no decisions are logged"
    ] = 100
    log_share: Annotated[float, "share of decisions logged for `features skew`; 0: none"] = 0.01

    def __post_init__(self) -> None:
        """Raises ValueError for a number that cannot be meant."""
        FeatureSettings.__post_init__(self)
        for name, least in LEAST.items():
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} is {getattr(self, name)}: must be at least {least}")
        if self.device not in DEVICES:
            raise ValueError(f"device is {self.device}: must be one of {', '.join(DEVICES)}")
        parse_purposes(self.assumed_consent)

    @property
    def assumed(self) -> frozenset[Purpose]:
        """What is allowed where a customer has said nothing."""
        return parse_purposes(self.assumed_consent)

    @property
    def process_count(self) -> int:
        """How many processes answer."""
        return self.processes or cores()

    @property
    def has_engine(self) -> bool:
        """Whether one process runs the model for the others; else a GPU holds it many times."""
        return self.engine or (self.device == "cuda" and self.process_count > 1)

    @property
    def model_threads(self) -> int:
        """How many threads one model run uses: together, the runs have one for each core."""
        running = 1 if self.has_engine else self.process_count
        return self.threads or max(1, cores() // running)
