"""Contestant: NVIDIA's Triton as PyTriton's wheel brings it, the model in its Python backend.

Triton's own ONNX Runtime backend would be the better match; the wheel does not hold it, and it is
published in container images only. Settings: dynamic batcher up to 32, which waits for nobody; one
instance of two threads, which did better than two instances; metrics and HTTP off.

python -m benchmarks.peers.triton_server PORT
"""

import os
import shutil
import sys
from pathlib import Path

import pytriton

from benchmarks.peers.ranking import LENGTH, MAX_BATCH, MODEL, TOP

FOLDER = MODEL.parent / "triton-models"

CONFIG = f"""
name: "ranking" backend: "python" max_batch_size: {MAX_BATCH}
input {{ name: "ids_BL" data_type: TYPE_INT64 dims: {LENGTH} }}
output {{ name: "item_BK" data_type: TYPE_INT64 dims: {TOP} }}
output {{ name: "score_BK" data_type: TYPE_FP32 dims: {TOP} }}
instance_group {{ count: 1 kind: KIND_CPU }}
dynamic_batching {{ }}
"""


def main(port: str) -> None:
    """Becomes tritonserver, which serves until told to stop."""
    bundled, folder = Path(pytriton.__file__).parent / "tritonserver", FOLDER.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    _put_model(folder / "models/ranking")
    _put_backend(folder / "backends/python", bundled)
    command = [
        "tritonserver",
        f"--model-repository={folder / 'models'}",
        f"--backend-directory={folder / 'backends'}",
        "--allow-metrics=false",
        "--allow-http=false",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={port}",
    ]
    os.execv(bundled / "bin/tritonserver", command)


def _put_model(model: Path) -> None:
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(CONFIG)
    (model / "1/model.py").symlink_to(Path(__file__).with_name("triton_model.py"))


def _put_backend(backend: Path, bundled: Path) -> None:
    """Triton's Python backend, with the stub for this Python."""
    backend.mkdir(parents=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = bundled / "python_backend_stubs" / version / "triton_python_backend_stub"
    for each in (*(bundled / "backends/python").iterdir(), stub):
        (backend / each.name).symlink_to(each)


if __name__ == "__main__":
    main(*sys.argv[1:])
