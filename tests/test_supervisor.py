"""The supervisor: one line, one port, a dead process replaced, and none left at the end."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from interplay.v1.customer_service_pb2 import GetCustomerRequest
from interplay.v1.customer_service_pb2_grpc import CustomerServiceStub
from interplay.v1.personalization_service_pb2 import RecordInteractionsRequest
from interplay.v1.personalization_service_pb2_grpc import PersonalizationServiceStub

from features.cores import cores
from serving.processes.cores import own_cores, shares
from serving.settings import ServingSettings
from tests.programs import ANSWERS, program
from tests.redis_server import free_port
from tests.running import viewed

SERVING = HealthCheckResponse.SERVING


def test_one_line_tells_that_all_answer_and_a_signal_ends_them_all() -> None:
    with program("tests.supervised", "live") as supervisor:
        supervisor.pids()
        assert supervisor.line(r"SERVING on port \d{2,}, 2 processes")
        supervisor.process.send_signal(signal.SIGTERM)
        assert supervisor.rest() == ""
    assert supervisor.process.returncode == 0


@pytest.mark.parametrize(
    ("kill", "told"), [(signal.SIGKILL, "was ended by SIGKILL"), (signal.SIGTERM, "SIGTERM")]
)
def test_a_process_that_ends_is_replaced(kill: signal.Signals, told: str) -> None:
    with program("tests.supervised", "live") as supervisor:
        first, second = supervisor.pids()
        os.kill(first, kill)
        assert told in supervisor.line(f"process {first} .*").group()
        assert int(supervisor.line(ANSWERS)[1]) not in (first, second)
        supervisor.process.send_signal(signal.SIGINT)
        assert supervisor.rest() == ""
    assert supervisor.process.returncode == 0


@pytest.mark.skipif(cores() < 2, reason="there is one core for two processes")
def test_each_process_keeps_to_its_own_cores_and_so_does_who_replaces_it() -> None:
    with program("tests.supervised", "live") as supervisor:
        first, second = supervisor.pids()
        own, others = os.sched_getaffinity(first), os.sched_getaffinity(second)
        assert not own & others
        assert own | others == os.sched_getaffinity(0)
        os.kill(first, signal.SIGKILL)
        assert os.sched_getaffinity(int(supervisor.line(ANSWERS)[1])) == own
        supervisor.process.send_signal(signal.SIGINT)


def test_cores_are_shared_out_where_there_are_enough() -> None:
    usable = sorted(os.sched_getaffinity(0))[: cores()]
    assert own_cores(ServingSettings(processes=len(usable))) == [{each} for each in usable]
    every = set(usable)
    assert own_cores(ServingSettings(processes=len(usable) + 1)) == [every] * (len(usable) + 1)
    assert own_cores(ServingSettings(processes=2, own_cores=False)) == [every] * 2
    assert own_cores(ServingSettings(processes=2, engine=True)) == [every] * 2
    assert [len(each) for each in shares(range(8), 3)] == [2, 3, 3]
    assert set().union(*shares(range(8), 3)) == set(range(8))


def kill_alone(process: "subprocess.Popen[str]") -> None:
    process.kill()


def terminate_all(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGTERM)


def interrupt_all(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.parametrize(
    ("end", "status"), [(kill_alone, -signal.SIGKILL), (terminate_all, 0), (interrupt_all, 0)]
)
def test_no_process_outlives_the_supervisor(
    end: Callable[["subprocess.Popen[str]"], None], status: int
) -> None:
    with program("tests.supervised", "live") as supervisor:
        supervisor.line("2 processes")
        end(supervisor.process)
        supervisor.rest()  # ends with the last of them
    assert supervisor.process.returncode == status


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("refuse", "ended with 3 while it started, 3 times in a row: the log is away"),
        ("crash", "was ended by SIGKILL while it started, 3 times in a row"),
    ],
)
def test_processes_that_cannot_start_are_given_up(kind: str, told: str) -> None:
    with program("tests.supervised", kind) as supervisor:
        assert told in supervisor.rest()
    assert supervisor.process.returncode == 1


def test_a_process_that_does_not_end_is_killed() -> None:
    with program("tests.supervised", "stay") as supervisor:
        supervisor.line("2 processes")
        supervisor.process.send_signal(signal.SIGTERM)
        assert "does not end; it is killed" in supervisor.rest()
    assert supervisor.process.returncode == 0


def test_a_port_where_somebody_listens_is_refused_though_it_could_be_shared() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with program("tests.supervised", "live", str(port)) as supervisor:
            assert f"cannot listen on 127.0.0.1:{port}" in supervisor.rest()
    assert supervisor.process.returncode == 1


def test_processes_share_the_cores(tmp_path: Path) -> None:
    assert ServingSettings(processes=0).process_count == cores()
    assert ServingSettings(processes=0).model_threads == 1
    assert ServingSettings().model_threads == cores()
    assert ServingSettings(threads=3, processes=2).model_threads == 3
    assert ServingSettings(processes=2, engine=True).model_threads == cores()
    quota = tmp_path / "cpu.max"
    quota.write_text("100000 100000\n")
    assert cores(quota) == 1
    quota.write_text("max 100000\n")
    assert cores(quota) == cores(tmp_path / "none")


def test_several_processes_share_one_model_on_a_gpu() -> None:
    assert ServingSettings(device="cuda", processes=2).has_engine
    assert not ServingSettings(device="cuda").has_engine
    assert not ServingSettings(processes=2).has_engine
    assert ServingSettings(engine=True).has_engine


def test_two_real_processes_answer_on_one_port_and_keep_what_both_write(home: Path) -> None:
    consent = ("--assumed-consent", "personalization")
    sizes = ("--processes", "2", "--port", "0", "--read-ms", "10000")
    probes = ("--health-port", str(free_port()))
    with program("serving", "--home", str(home), *sizes, *consent, *probes) as supervisor:
        pids = supervisor.pids()
        line = supervisor.line("SERVING on (.*): model 1 of interplay on .*, 2 processes")
        assert write_at_once(line[1], "ada") == (20, 140, [20] * 8)
        os.kill(pids[0], signal.SIGKILL)
        supervisor.line(ANSWERS)
        assert write_at_once(line[1], "bob") == (20, 140, [20] * 8)
        with grpc.insecure_channel(f"127.0.0.1:{probes[1]}") as channel:
            assert HealthStub(channel).Check(HealthCheckRequest(), timeout=30).status == SERVING
        supervisor.process.send_signal(signal.SIGTERM)
        assert "ERROR" not in supervisor.rest()
    assert supervisor.process.returncode == 0


def write_at_once(target: str, customer_id: str) -> tuple[int, int, list[int]]:
    """Eight connections write the same 20: how many were new, how many not, what each reads."""
    same = [viewed(customer_id, "eggs") for _ in range(20)]

    def write(number: int) -> tuple[int, int, int]:
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(target, options) as channel:
            record = PersonalizationServiceStub(channel).RecordInteractions
            replies = [record(RecordInteractionsRequest(interactions=[each])) for each in same]
            asked = GetCustomerRequest(customer_id=customer_id)
            held = CustomerServiceStub(channel).GetCustomer(asked).interactions
        accepted = sum(each.accepted_count for each in replies)
        return accepted, sum(each.duplicate_count for each in replies), len(held)

    with ThreadPoolExecutor(8) as callers:
        accepted, duplicates, held = zip(*callers.map(write, range(8)), strict=True)
    return sum(accepted), sum(duplicates), list(held)
