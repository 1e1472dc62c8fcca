"""Submits a retraining: a copy of the suspended RayJob that runs, unless one is running still.

It goes with the Job that submits it (ownerReferences), and has its name: trying twice is once.
"""

import json
import os
import ssl
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

NAME = "interplay-retraining"
ENDED = ("Complete", "Failed", "ValidationFailed")
CONFLICT = 409
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def submit(server: str, account: Path, job_name: str, job_uid: str) -> str:
    """What came of it, in words."""
    url = f"{server}/apis/ray.io/v1/namespaces/{_read(account, 'namespace')}/rayjobs"
    jobs = {each["metadata"]["name"]: each for each in _asked(account, url)["items"]}
    template = jobs.pop(NAME)
    if running := [name for name, each in jobs.items() if _runs(each)]:
        return f"{running[0]} is still running"
    try:
        _asked(account, url, _copy(template, job_name, job_uid))
    except HTTPError as error:
        if error.code != CONFLICT:
            raise
        return f"{job_name} has been submitted before"
    return f"{job_name} is submitted"


def _runs(job: dict[str, Any]) -> bool:
    ours = job["metadata"].get("labels", {}).get("app.kubernetes.io/name") == "interplay"
    return ours and job.get("status", {}).get("jobDeploymentStatus") not in ENDED


def _copy(template: dict[str, Any], job_name: str, job_uid: str) -> dict[str, Any]:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job_name, "uid": job_uid}
    labels = template["metadata"].get("labels", {})
    return {
        "apiVersion": template["apiVersion"],
        "kind": template["kind"],
        "metadata": {"name": job_name, "labels": labels, "ownerReferences": [owner]},
        "spec": template["spec"] | {"suspend": False},
    }


def _asked(account: Path, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {_read(account, 'token')}"}
    request = Request(url, data, headers | {"Content-Type": "application/json"})
    secure = ssl.create_default_context(cafile=account / "ca.crt")
    with urlopen(request, timeout=30, context=secure) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _read(account: Path, name: str) -> str:
    return (account / name).read_text().strip()


if __name__ == "__main__":
    api = "https://kubernetes.default.svc"
    print(submit(api, ACCOUNT, os.environ["JOB_NAME"], os.environ["JOB_UID"]))
