"""What no program of ours may do: run what it reads, trust blindly, or leave a shell to chance."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("features", "serving", "training", "proto")
    for path in (ROOT / folder).rglob("*.py")
    if "_pb2" not in path.name
)
BENCHMARKS = sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "benchmarks").rglob("*.py")
)
MAY_PICKLE = {
    # Between the load generator and the processes that it starts itself, through their own pipes.
    "benchmarks/load.py",
    "benchmarks/callers.py",
}
UNPICKLING = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"),
    *("pandas.read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load"),
}
RUNNING = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "tempfile.mktemp"}
NEVER_TRUE = {"allow_pickle", "shell", "trust_remote_code"}
NEVER_FALSE = {"verify", "weights_only", "check_hostname"}

Rule = Callable[[ast.AST], str]


def module_of(node: ast.AST) -> str:
    """What can run while it is read must not be imported at all."""
    names = []
    if isinstance(node, ast.Import):
        names = [each.name for each in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [str(node.module), *(f"{node.module}.{each.name}" for each in node.names)]
    return next((each for each in names if each.split(".")[0] in UNPICKLING), "")


def called(node: ast.AST) -> str:
    """Functions that run what they are given, or give it away."""
    if not isinstance(node, ast.Call):
        return ""
    name = ast.unparse(node.func)
    if name == "torch.load" and not any(each.arg == "weights_only" for each in node.keywords):
        return "torch.load without weights_only"
    if name in {"np.load", "numpy.load"}:
        plain = not any(each.arg == "allow_pickle" for each in node.keywords)
        return "np.load without allow_pickle=False" if plain else ""
    return name if name in RUNNING | UNPICKLING else ""


def flagged(node: ast.AST) -> str:
    """Options that take a protection away."""
    if not isinstance(node, ast.keyword) or not isinstance(node.value, ast.Constant):
        return ""
    wrong = (node.arg in NEVER_TRUE and node.value.value is True) or (
        node.arg in NEVER_FALSE and node.value.value is False
    )
    return ast.unparse(node) if wrong else ""


RULES: tuple[Rule, ...] = (module_of, called, flagged)


def breaches(text: str) -> Iterator[str]:
    """What a program does that it may not, with the line where the rule knows one."""
    for node in ast.walk(ast.parse(text)):
        yield from (found for rule in RULES if (found := rule(node)))


@pytest.mark.parametrize("module", PRODUCT)
def test_the_product_does_nothing_of_the_kind(module: str) -> None:
    assert [*breaches((ROOT / module).read_text())] == []


def test_benchmarks_do_so_only_where_it_is_explained() -> None:
    found = {each for each in BENCHMARKS if [*breaches((ROOT / each).read_text())]}
    assert {each for each in found if not each.startswith("benchmarks/peers/")} <= MAY_PICKLE


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        ("import pickle", "pickle"),
        ("import os, joblib", "joblib"),
        ("def f():\n    from marshal import loads", "marshal"),
        ("torch.load(path)", "torch.load without weights_only"),
        ("torch.load(path, weights_only=False)", "weights_only=False"),
        ("np.load(path)", "np.load without allow_pickle=False"),
        ("np.load(path, allow_pickle=True)", "allow_pickle=True"),
        ("yaml.load(text)", "yaml.load"),
        ("eval(text)", "eval"),
        ("exec('x = 1')", "exec"),
        ("os.system('ls')", "os.system"),
        ("subprocess.run('ls', shell=True)", "shell=True"),
        ("tempfile.mktemp()", "tempfile.mktemp"),
        ("requests.get(url, verify=False)", "verify=False"),
    ],
)
def test_each_rule_sees_its_breach(bad: str, found: str) -> None:
    assert [*breaches(bad)] == [found]


@pytest.mark.parametrize(
    "good",
    [
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "yaml.safe_load(text)",
        "subprocess.run(['git', 'status'])",
        "model.eval()",
        "re.compile('x')",
        "requests.get(url, verify=True)",
    ],
)
def test_what_is_right_is_no_breach(good: str) -> None:
    assert [*breaches(good)] == []
