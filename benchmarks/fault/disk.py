"""Faults of the disk: it is full, so that nothing more can be made durable."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from interplay.v1.personalization_service_pb2 import RecordInteractionsRequest
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from benchmarks.composed import started
from benchmarks.fault.scene import Scene
from benchmarks.fault.traffic import TIMEOUT_S, Traffic, failed
from benchmarks.fault.trial import Fault, Seen, all_of, none_of
from benchmarks.frontend import views
from benchmarks.report import Figure
from features.log.contract import open_log
from features.settings import FeatureSettings

SIZE = "64m"
PIECE = 1 << 12
CALLS = 400  # that record, while the disk is full
USUAL = 50  # and before, and after
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def faults() -> list[Fault]:
    """Of the disk."""
    return [
        Fault(
            "disk-full",
            "the disk with log and online store is filled to the last block (ENOSPC) for 400 calls",
            "nothing acknowledged that is not kept; decisions go on; recovers without a restart",
            _full,
        )
    ]


def _full(scene: Scene) -> Seen:
    if os.geteuid():
        return Seen([], "not tried: only root can mount a small disk")
    with _small_disk() as disk, scene.home(disk) as home, started(home) as server:
        with (
            grpc.insecure_channel(server.address) as channel,
            Traffic(server.address, customers=scene.customers, rate=30) as traffic,
        ):
            stub = PersonalizationServiceStub(channel)
            requests = views(scene.customers, 2 * USUAL + CALLS)
            before = _record(stub, requests[:USUAL])
            _fill(disk)
            full_time = time.monotonic()
            during = _record(stub, requests[USUAL:-USUAL])
            (disk / "filling").unlink()
            free_time = time.monotonic()
            while not _record(stub, requests[-1:]).acknowledged:
                pass
            back_s = time.monotonic() - free_time
            after = _record(stub, requests[-USUAL:])
        decided = traffic.between(full_time, free_time)
        acknowledged = before.acknowledged | during.acknowledged | after.acknowledged
        with open_log(FeatureSettings(home=home)) as log:
            kept = {each.interaction.interaction_id for each in log.read(after=0, limit=10**6)}
    return Seen(
        [
            Figure("calls that record", CALLS),
            Figure("acknowledged", len(during.acknowledged)),
            none_of("acknowledged and not kept", len(acknowledged - kept)),
            none_of("ended otherwise than OK or UNAVAILABLE", during.other),
            all_of("acknowledged later", len(after.acknowledged), USUAL),
            Figure("records again after", back_s, "s", goal=5.0),
            *failed(decided),
        ]
    )


@contextmanager
def _small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="interplay-disk-") as place:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "interplay", place]
        subprocess.run(mount, check=True)
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", "--lazy", place], check=True)


def _fill(disk: Path) -> None:
    """To the last block."""
    with (disk / "filling").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(PIECE))


@dataclass(slots=True)
class Told:
    """What became of calls that record."""

    acknowledged: set[str] = field(default_factory=set)  # interactions
    other: int = 0  # calls that ended neither with OK nor with UNAVAILABLE


def _record(stub: PersonalizationServiceStub, requests: Sequence[bytes]) -> Told:
    told = Told()
    for each in requests:
        request = RecordInteractionsRequest.FromString(each)
        try:
            stub.RecordInteractions(request, timeout=TIMEOUT_S)
            told.acknowledged.update(one.interaction_id for one in request.interactions)
        except grpc.RpcError as error:
            told.other += error.code() is not UNAVAILABLE
    return told
