"""The device that runs the model: CUDA where it is asked for, or found to work; else the CPU."""

import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnxruntime

from serving.processes.port import StartError

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

Session: TypeAlias = onnxruntime.InferenceSession
Tables: TypeAlias = Mapping[str, np.ndarray]  # as features.artefact.load_tables gives them

logger = logging.getLogger(__name__)


def provider_of(device: str) -> str:
    """What runs the model for `auto`, `cpu` or `cuda`; raises StartError if that cannot be had."""
    trouble = "" if device == "cpu" else _trouble_with_cuda()
    if device == "cuda" and trouble:
        raise StartError(f"--device cuda cannot be had: {trouble}. Try --device auto or cpu")
    return CPU if device == "cpu" or trouble else CUDA


@cache
def _trouble_with_cuda() -> str:
    """Why CUDA does not work here; empty if it does."""
    available = onnxruntime.get_available_providers()
    if CUDA not in available:
        return f"onnxruntime has {', '.join(available)} only; the extra `gpu` brings CUDA"
    try:
        if hasattr(onnxruntime, "preload_dlls"):  # of CUDA and cuDNN, where pip has put them
            onnxruntime.preload_dlls()
        onnxruntime.OrtValue.ortvalue_from_shape_and_type([1], np.float32, "cuda", 0)
    except Exception as error:  # onnxruntime's own exceptions share no narrower class
        logger.warning("onnxruntime knows CUDA, but cannot use it: %s", error)
        return f"there is no GPU that onnxruntime can use: {error}"
    return ""


def open_on_cpu(path: Path, *, threads: int, tables: Tables | None = None) -> Session:
    """A session on the CPU; raises what onnxruntime raises."""
    options = _options()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin between runs would take the cores from the event loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    values = _given(tables or {}, options)
    session = onnxruntime.InferenceSession(str(path), options, providers=[CPU])
    session.tables = values  # onnxruntime may read them where they lie
    return session


def open_on_cuda(graph: bytes, tables: Tables, *, capture: bool) -> Session:
    """A session on the first GPU, exact to float32; its runs can be captured as CUDA graphs.

    Raises RuntimeError, as onnxruntime itself only warns, where the session went to the CPU.
    """
    options = _options()
    values = _given(tables, options)
    settings = {"device_id": "0", "use_tf32": "0", "enable_cuda_graph": str(int(capture))}
    session = onnxruntime.InferenceSession(
        graph, options, providers=[(CUDA, settings)], enable_fallback=0
    )
    if session.get_providers()[0] != CUDA:
        raise RuntimeError(f"onnxruntime has put it on {session.get_providers()[0]}")
    session.tables = values  # as on the CPU
    return session


def _given(tables: Tables, options: onnxruntime.SessionOptions) -> dict[str, onnxruntime.OrtValue]:
    """Hands tables to a session that is to be; it must not outlive them."""
    as_value = onnxruntime.OrtValue.ortvalue_from_numpy
    values = {name: as_value(table) for name, table in tables.items()}
    options.add_external_initializers([*values], [*values.values()])
    return values


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors arrive as exceptions
    return options
