"""Submitting a retraining: a copy of the suspended RayJob, once, and not beside another."""

import importlib.util
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.manifests import K8S, need

SCRIPT = K8S / "components" / "retraining" / "submit.py"
TEMPLATE = {
    "apiVersion": "ray.io/v1",
    "kind": "RayJob",
    "metadata": {
        "name": "interplay-retraining",
        "uid": "1",
        "resourceVersion": "7",
        "labels": {"app.kubernetes.io/name": "interplay"},
    },
    "spec": {"suspend": True, "entrypoint": "python -m training watch --train"},
    "status": {"jobDeploymentStatus": "Suspended"},
}


class Kubernetes:
    """Its API, as far as it is asked, over TLS."""

    def __init__(self, folder: Path) -> None:
        """Holds the template alone."""
        self.jobs: list[dict[str, Any]] = [TEMPLATE]
        self.account = folder
        self._certificate(folder)
        (folder / "token").write_text("secret\n")
        (folder / "namespace").write_text("interplay")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "ca.crt", folder / "ca.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @staticmethod
    def _certificate(folder: Path) -> None:
        need("openssl")
        words = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
        extension = ["-addext", "subjectAltName=DNS:localhost"]
        files = ["-keyout", folder / "ca.key", "-out", folder / "ca.crt"]
        command = ["openssl", *words.split(), *extension, *files]
        subprocess.run(command, check=True, capture_output=True)

    def _handler(api) -> type[BaseHTTPRequestHandler]:  # noqa: N805  self is the request's
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(200, {"items": api.jobs})

            def do_POST(self) -> None:
                job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                names = [each["metadata"]["name"] for each in api.jobs]
                taken = job["metadata"]["name"] in names
                if not taken:
                    api.jobs.append(job)
                self.answer(409 if taken else 201, job)

            def answer(self, status: int, body: Any) -> None:
                assert self.path == "/apis/ray.io/v1/namespaces/interplay/rayjobs"
                assert self.headers["Authorization"] == "Bearer secret"
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def submit(self, job_name: str) -> str:
        """What the script says."""
        spec = importlib.util.spec_from_file_location("submit", SCRIPT)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return str(module.submit(self.url, self.account, job_name, "uid-of-" + job_name))

    def close(self) -> None:
        """No more answers."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def kubernetes(tmp_path: Path) -> Iterator[Kubernetes]:
    api = Kubernetes(tmp_path)
    yield api
    api.close()


def test_a_copy_runs_and_goes_with_the_job_that_submits_it(kubernetes: Kubernetes) -> None:
    assert kubernetes.submit("night-1") == "night-1 is submitted"
    assert kubernetes.jobs[1:] == [
        {
            "apiVersion": "ray.io/v1",
            "kind": "RayJob",
            "metadata": {
                "name": "night-1",
                "labels": {"app.kubernetes.io/name": "interplay"},
                "ownerReferences": [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "name": "night-1",
                        "uid": "uid-of-night-1",
                    }
                ],
            },
            "spec": {"suspend": False, "entrypoint": "python -m training watch --train"},
        }
    ]
    assert TEMPLATE["spec"]["suspend"] is True  # type: ignore[index]


def test_nothing_is_submitted_beside_one_that_runs(kubernetes: Kubernetes) -> None:
    kubernetes.submit("night-1")
    assert kubernetes.submit("night-2") == "night-1 is still running"
    kubernetes.jobs[1]["status"] = {"jobDeploymentStatus": "Failed"}
    assert kubernetes.submit("night-2") == "night-2 is submitted"


def test_trying_twice_is_once(kubernetes: Kubernetes) -> None:
    kubernetes.submit("night-1")
    kubernetes.jobs[1]["status"] = {"jobDeploymentStatus": "Complete"}
    assert kubernetes.submit("night-1") == "night-1 has been submitted before"
    assert len(kubernetes.jobs) == 2
