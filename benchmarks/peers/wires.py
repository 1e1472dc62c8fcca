"""How each contestant is asked and answers: as bytes of a protobuf, open inference gRPC, or JSON.

L items of a history   K items of an answer
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.wrappers_pb2 import BytesValue

from benchmarks.peers.ranking import LENGTH, TOP

Answer = tuple[np.ndarray, np.ndarray]  # items (K), scores (K)

# The part of the open inference protocol that is used: names, numbers and types are the protocol's.
OPEN_INFERENCE_MESSAGES = """
name: "contest.proto" package: "contest" syntax: "proto3"
message_type { name: "Tensor"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "datatype" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "shape" number: 3 type: TYPE_INT64 label: LABEL_REPEATED } }
message_type { name: "Request"
  field { name: "model_name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "inputs" number: 5 type: TYPE_MESSAGE label: LABEL_REPEATED
          type_name: ".contest.Tensor" }
  field { name: "raw_input_contents" number: 7 type: TYPE_BYTES label: LABEL_REPEATED } }
message_type { name: "Response"
  field { name: "outputs" number: 5 type: TYPE_MESSAGE label: LABEL_REPEATED
          type_name: ".contest.Tensor" }
  field { name: "raw_output_contents" number: 6 type: TYPE_BYTES label: LABEL_REPEATED } }
"""


@dataclass(frozen=True, slots=True)
class Wire:
    """A method, and what goes through it."""

    method: str
    request: Callable[[np.ndarray], bytes]  # of a history (L), int64
    answer: Callable[[bytes], Answer]
    http: bool = False


def bytes_wire() -> Wire:
    """gRPC with one bytes field each way: Interplay and Ray Serve, whose messages are free."""

    def request(ids_L: np.ndarray) -> bytes:
        return BytesValue(value=ids_L.tobytes()).SerializeToString()

    def answer(data: bytes) -> Answer:
        packed = BytesValue.FromString(data).value
        return np.frombuffer(packed, np.int64, TOP), np.frombuffer(packed, np.float32, TOP, 8 * TOP)

    return Wire("/contest.Ranking/Rank", request, answer)


def open_inference_wire() -> Wire:
    """The gRPC of KServe and Triton, tensors as raw bytes."""
    request_type, response_type = _open_inference_types()

    def request(ids_L: np.ndarray) -> bytes:
        message = request_type(model_name="ranking", raw_input_contents=[ids_L.tobytes()])
        message.inputs.add(name="ids_BL", datatype="INT64", shape=[1, LENGTH])
        serialized: bytes = message.SerializeToString()
        return serialized

    def answer(data: bytes) -> Answer:
        message = response_type.FromString(data)
        raw = {
            each.name: content
            for each, content in zip(message.outputs, message.raw_output_contents, strict=True)
        }
        return np.frombuffer(raw["item_BK"], np.int64), np.frombuffer(raw["score_BK"], np.float32)

    return Wire("/inference.GRPCInferenceService/ModelInfer", request, answer)


def _open_inference_types() -> tuple[Any, Any]:
    pool, file = descriptor_pool.DescriptorPool(), descriptor_pb2.FileDescriptorProto()
    pool.Add(text_format.Parse(OPEN_INFERENCE_MESSAGES, file))
    found = (pool.FindMessageTypeByName(f"contest.{name}") for name in ("Request", "Response"))
    request_type, response_type = map(GetMessageClass, found)
    return request_type, response_type


def json_wire(method: str, *, rows: bool) -> Wire:
    """HTTP with JSON: LitServe and BentoML; `rows`: a batch of one each way."""

    def request(ids_L: np.ndarray) -> bytes:
        ids = ids_L.tolist()
        return json.dumps({"ids": [ids] if rows else ids}).encode()

    def answer(data: bytes) -> Answer:
        given = np.array(json.loads(data)).reshape(2, TOP)
        return given[0].astype(np.int64), given[1].astype(np.float32)

    return Wire(method, request, answer, http=True)
