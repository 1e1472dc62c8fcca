"""Rules of ours that semgrep checks: each finds its breach, and none is in our programs."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROGRAMS = ("features", "serving", "training", "proto", "benchmarks")
BAD = {
    "customer-in-a-log": [
        "def f(request):\n    logger.info('%s came', request.customer_id)",
        "def f(customer_id):\n    text = f'{customer_id} came'\n    logger.error(text)",
    ],
    "secret-in-a-log": [
        "def f(context):\n    logger.info('%s', context.invocation_metadata())",
        "def f(caller):\n    said = f'{caller.token}: refused'\n    logger.warning(said)",
    ],
    "file-named-by-a-caller": [
        "def f(request):\n    name = request.placement\n    return open(name)",
        "def f(home, request):\n    return (home / request.item_id).read_text()",
    ],
    "query-written-by-a-caller": [
        "def f(db, customer_id):\n    db.execute(f\"SELECT * FROM log WHERE i = '{customer_id}'\")",
    ],
    "secret-compared-by-letters": ["def f(key, held):\n    return key == held"],
    "token-that-anybody-could-make": [
        "import jwt\ndef f(text, key):\n    return jwt.decode(text, key)",
        "import jwt\ndef f(text, key):\n    return jwt.decode(\n"
        "        text, key, algorithms=['RS256'], options={'verify_signature': False})",
    ],
    "guessable-secret": ["import random", "import numpy as np\nkey = np.random.bytes(32)"],
    "plaintext-port": ["def f(server):\n    server.add_insecure_port('[::]:50051')"],
    "weak-hash": ["from hashlib import md5\ndef f(text):\n    return md5(text)"],
    "artefact-of-anybody": [
        "from features.artefact import verify\ndef f(path):\n    return verify(path, VOCABULARY)",
        "def f(folder):\n    return Scorer(folder, VOCABULARY, threads=1)",
    ],
    "graph-opened-elsewhere": [
        "import onnxruntime\ndef f(path):\n    return onnxruntime.InferenceSession(path)"
    ],
    "failure-is-swallowed": [
        "def f():\n    try:\n        go()\n    except:\n        tell()",
        "def f():\n    try:\n        go()\n    except Exception:\n        pass",
        "from contextlib import suppress\ndef f():\n    with suppress(Exception):\n        go()",
    ],
}
GOOD = [
    "def f(request):\n    logger.info('%s came', pseudonym(request.customer_id))",
    "def f(customer_ids):\n    logger.info('%d came', len(customer_ids))",
    "def f(token):\n    logger.info('refused: %s', hash_of(token))",
    "def f(home, request):\n    held = home / 'log.db'\n    return held, request.item_id",
    "def f(db, customer_id):\n    db.execute('SELECT * FROM log WHERE id = ?', (customer_id,))",
    "from hmac import compare_digest\ndef f(key, held):\n    return compare_digest(key, held)",
    "import jwt\ndef f(text, key):\n    return jwt.decode(text, key, algorithms=['RS256'])",
    "from hashlib import sha1\ndef f(text):\n    return sha1(text, usedforsecurity=False)",
    "from features.artefact import verify\n"
    "def f(folder):\n    return verify(folder, VOCABULARY, trusted_keys='keys.pem')",
    "def f():\n    try:\n        go()\n    except OSError:\n        pass",
    "def f():\n    try:\n        go()\n    except Exception as error:\n        logger.error(error)",
]


def found(folder: Path, *targets: str) -> list[tuple[str, str]]:
    """Where semgrep finds what: file and rule, in order."""
    own = ROOT / ".interplay" / "semgrep" / "bin" / "semgrep"
    program = shutil.which("semgrep") or (str(own) if own.exists() else None)
    if program is None:
        reason = "semgrep is not installed: see .ci/run"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    options = ["--metrics", "off", "--disable-version-check", "--strict", "--json"]
    command = [program, "scan", *options, "--config", str(ROOT / ".semgrep.yml"), *targets]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["errors"] == []
    assert len(told["paths"]["scanned"]) > len(targets)
    return sorted((each["path"], each["check_id"].split(".")[-1]) for each in told["results"])


def test_each_rule_finds_its_breaches_and_nothing_else(tmp_path: Path) -> None:
    access = tmp_path / "serving" / "access"
    access.mkdir(parents=True)
    expected = []
    for rule, samples in BAD.items():
        for number, sample in enumerate(samples):
            name = f"serving/access/{rule}-{number}.py".replace("-", "_")
            (tmp_path / name).write_text(f"{sample}\n")
            expected.append((name, rule))
    for number, sample in enumerate(GOOD):
        (access / f"good_{number}.py").write_text(f"{sample}\n")
    assert found(tmp_path, ".") == sorted(expected)


def test_there_is_no_rule_that_is_not_tried() -> None:
    rules = yaml.safe_load((ROOT / ".semgrep.yml").read_text())["rules"]
    assert [each["id"] for each in rules] == [*BAD]


def test_our_programs_break_none() -> None:
    assert found(ROOT, *PROGRAMS) == []
