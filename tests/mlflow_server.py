"""A real MLflow server on a free port, for tests: started, and killed."""

import os
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path


class MlflowServer:
    """One server over one folder; its files are handed out by itself."""

    def __init__(self, folder: Path) -> None:
        """Is not yet started."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = int(free.getsockname()[1])

    @property
    def url(self) -> str:
        """What a client connects to."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> "MlflowServer":
        """Returns when it serves; after a kill, on the same port and folder."""
        store = f"sqlite:///{self._folder}/mlflow.db"
        variables = {
            "_MLFLOW_SERVER_FILE_STORE": store,
            "_MLFLOW_SERVER_REGISTRY_STORE": store,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(self._folder / "files"),
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        app = ["-m", "flask", "--app", "mlflow.server:app", "run", "--port", str(self._port)]
        self._process = subprocess.Popen(
            [sys.executable, *app],
            env=os.environ | variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not self._answers():
            assert self._process.poll() is None, "the MLflow server has ended"
            time.sleep(0.1)  # it does not tell when it is ready
        return self

    def kill(self) -> None:
        """As kill -9 does."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "MlflowServer":
        """Starts."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Kills."""
        self.kill()

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()
