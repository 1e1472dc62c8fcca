"""The contestants: how each is started and asked."""

import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.peers.wires import Wire, bytes_wire, json_wire, open_inference_wire

OURS = ("Interplay, 1 process", "Interplay, 2 processes")
TRITONS = ("Triton, Python backend", "PyTriton")
PYTHON_SERVERS = ("KServe", "Ray Serve", "LitServe", "BentoML")

RAY = {  # for throughput, as its documentation has it
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
BENTOML = {"BENTOML_DO_NOT_TRACK": "True"}
# Triton's Python must load the library of the interpreter whose modules it loads.
TRITON = {"LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR"))}


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program `python -m benchmarks.peers.<module> PORT <arguments>`."""

    name: str
    module: str
    wire: Wire
    environment: str | None = None  # of requirements-<environment>.txt; else ours
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


def contestants() -> list[Contestant]:
    """In the order of the table."""
    one, two = OURS
    triton, pytriton = TRITONS
    kserve, ray, litserve, bentoml = PYTHON_SERVERS
    free, inference = bytes_wire(), open_inference_wire()
    return [
        Contestant(one, "interplay_server", free, arguments=("1",)),
        Contestant(two, "interplay_server", free, arguments=("2",)),
        Contestant(triton, "triton_server", inference, "triton", variables=TRITON),
        Contestant(pytriton, "pytriton_server", inference, "triton", variables=TRITON),
        Contestant(kserve, "kserve_server", inference, "kserve"),
        Contestant(ray, "ray_server", free, "ray", variables=RAY),
        Contestant(litserve, "litserve_server", json_wire("/predict", rows=False), "litserve"),
        Contestant(
            bentoml, "bentoml_server", json_wire("/rank", rows=True), "bentoml", variables=BENTOML
        ),
    ]
