"""The import law of DESIGN.md: serving -> features <- training; heavy libraries in their files."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("features", "serving", "training")
    for path in (ROOT / folder).rglob("*.py")
)
FORBIDDEN = {
    "features": {"serving", "training", "interplay", "grpc", "onnxruntime", "torch", "ray"},
    "serving": {"training", "torch", "ray", "feast", "duckdb"},
    "training": {"serving", "interplay", "grpc", "feast"},
}
ONLY_IN = {
    "feast": {
        "features/online/configuration.py",
        "features/online/definitions.py",
        "features/online/contract.py",
        "features/online/item_values.py",
        "features/online/redis.py",
        "features/online/registry.py",
        "features/online/sqlite.py",
        "features/online/store.py",
    },
    "nats": {"features/log/jetstream.py", "features/log/jetstream_reader.py"},
    "redis": {"features/online/redis_link.py"},
    "interplay": {
        "serving/conversation.py",
        "serving/asking.py",
        "serving/door.py",
        "serving/explanation_reply.py",
        "serving/preferences.py",
        "serving/replies.py",
        "serving/self_service.py",
        "serving/service.py",
        "serving/wire.py",
    },
    "onnx": {
        "serving/model/bound_session.py",
        "training/export/export.py",
        "training/export/graph.py",
        "training/judging/answering.py",
    },
    "onnxruntime": {
        "serving/model/bound_session.py",
        "serving/model/device.py",
        "training/export/export.py",
    },
}
MAY_STAND_ALONE = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
)


def imports(tree: ast.Module) -> Iterator[str]:
    """The top-level packages that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module).partition(".")[0]


def does_something(node: ast.stmt) -> bool:
    """Whether a top-level statement acts when its module is imported."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If):
        return not ast.unparse(node.test).startswith(("__name__ ==", "TYPE_CHECKING"))
    return not isinstance(node, MAY_STAND_ALONE)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_what_it_may(module: str) -> None:
    found = set(imports(ast.parse((ROOT / module).read_text())))
    assert not found & FORBIDDEN[module.partition("/")[0]]
    for library, files in ONLY_IN.items():
        assert library not in found or module in files, f"{library} belongs into {sorted(files)}"


@pytest.mark.parametrize("module", MODULES)
def test_importing_a_module_does_nothing(module: str) -> None:
    body = ast.parse((ROOT / module).read_text()).body
    assert [ast.unparse(node) for node in body if does_something(node)] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_what_it_is(module: str) -> None:
    assert ast.get_docstring(ast.parse((ROOT / module).read_text()))


def test_the_law_sees_a_breach() -> None:
    tree = ast.parse("def f():\n    import torch.nn\nprint('hello')\n")
    assert list(imports(tree)) == ["torch"]
    assert [does_something(node) for node in tree.body] == [False, True]
