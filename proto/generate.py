"""Generates the Python stubs of the API; also the build hook that puts them into every wheel."""

import importlib.resources
import sys
from pathlib import Path
from typing import Any

PROTO = Path(__file__).resolve().parent


def generate() -> None:
    """Writes `*_pb2.py`, `*_pb2.pyi` and `*_pb2_grpc.py` beside the .proto files."""
    from grpc_tools import protoc

    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("interplay/v1/*.proto"))
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    options = [f"--{kind}_out={PROTO}" for kind in ("python", "pyi", "grpc_python")]
    if protoc.main(["protoc", f"-I{PROTO}", f"-I{well_known}", *options, *sources]) != 0:
        raise SystemExit("protoc refused the .proto files: see its message above")


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand: `python proto/generate.py`
    pass
else:

    class StubsBuildHook(BuildHookInterface):
        """Runs before hatchling collects the files."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            """Generates the stubs."""
            generate()


if __name__ == "__main__":
    sys.exit(generate())
