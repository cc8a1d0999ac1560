"""The house: which file may import which, and how long a file and a function may be. Read from the source alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "seed_grpo").rglob("*.py"))
}
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in FILES.items()}
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 450, 60
VERL = {"verl", "transfer_queue", "tensordict"}

# What is still to be mended.
LONG_FILES: set[str] = set()
LONG_FUNCTIONS: set[str] = set()
IN_A_CIRCLE: set[str] = set()
METHOD_IMPORTS: set[tuple[str, str]] = set()


def nodes_at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below, in functions too, but those that only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from nodes_at_run_time(other)
            continue
        yield child
        yield from nodes_at_run_time(child)


def imports(module: str) -> set[str]:
    """The modules that a module imports, at the top or later; of ours, the file that is meant."""
    found = set()
    package = module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes_at_run_time(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            origin = ".".join(filter(None, (base, node.module)))
            names = {f"{origin}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else origin for name in names}
    return found


IMPORTS = {module: imports(module) for module in FILES}


def top(module: str) -> str:
    return module.partition(".")[0]


def test_the_house_is_read() -> None:
    assert "verl.trainer.main_ppo" in IMPORTS["seed_grpo.verl_plugin.launch"]  # inside a function
    assert "seed_grpo.errors" in IMPORTS["seed_grpo.cli"]
    assert "omegaconf" not in IMPORTS["seed_grpo.verl_plugin.checks"]  # for the type checker alone


def test_verl_is_known_in_one_folder() -> None:
    knowing = {module for module, found in IMPORTS.items() if VERL & set(map(top, found))}
    assert knowing
    assert {module for module in knowing if not module.startswith("seed_grpo.verl_plugin")} == set()


def test_no_other_module_starts_verl_as_a_program() -> None:
    def starts_verl(line: ast.List | ast.Tuple) -> bool:
        words = [each.value if isinstance(each, ast.Constant) else None for each in line.elts]
        return any(a == "-m" and isinstance(b, str) and top(b) in VERL for a, b in pairwise(words))

    starting = {
        module
        for module, tree in TREES.items()
        if any(isinstance(node, ast.List | ast.Tuple) and starts_verl(node) for node in ast.walk(tree))
    }
    assert starting == {"seed_grpo.verl_plugin.merging"}


def test_the_method_imports_itself_and_errors_alone() -> None:
    foreign = {
        (module, other)
        for module, found in IMPORTS.items()
        if module.startswith("seed_grpo.method")
        for other in found
        if (other.startswith("seed_grpo") and not other.startswith(("seed_grpo.method", "seed_grpo.errors")))
        or top(other) in VERL | {"torch", "ray"}
    }
    assert foreign == METHOD_IMPORTS


def circles() -> set[str]:
    """The modules that import one another in a circle."""
    ours = {module: {other for other in found if other in FILES} - {module} for module, found in IMPORTS.items()}
    found: set[str] = set()
    while True:
        try:
            TopologicalSorter(ours).prepare()
        except CycleError as error:
            circle = set(error.args[1])
            found |= circle
            # Drawn as one module, so that the other circles are found as well.
            first = min(circle)
            outside = set().union(*(ours.pop(module) for module in circle))
            ours = {module: {first if o in circle else o for o in others} for module, others in ours.items()}
            ours[first] = {other for other in outside if other not in circle}
            continue
        return found


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert circles() <= IN_A_CIRCLE


def test_no_file_is_long() -> None:
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in FILES.items()}
    assert {module for module, n in lines.items() if n > MOST_LINES} <= LONG_FILES


def functions(tree: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
    """Name and number of lines, from `def` to the end, of each function, methods and inner ones too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}.{node.name}"
            if not isinstance(node, ast.ClassDef):
                assert node.end_lineno
                yield name, node.end_lineno - node.lineno + 1
            yield from functions(node, name)
        else:
            yield from functions(node, prefix)


def test_no_function_is_long() -> None:
    lengths = dict(each for module, tree in TREES.items() for each in functions(tree, module))
    assert {name for name, n in lengths.items() if n > MOST_LINES_OF_A_FUNCTION} <= LONG_FUNCTIONS


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f():\n    import verl.trainer", {"verl.trainer"}),
        ("if TYPE_CHECKING:\n    import verl\nelse:\n    import ray", {"ray"}),
        ("try:\n    from tensordict import TensorDict\nexcept ImportError: pass", {"tensordict"}),
        ("from . import errors", {"seed_grpo.errors"}),
        ("from .runs import files", {"seed_grpo.runs.files"}),
    ],
)
def test_imports_are_found_wherever_they_stand(source: str, found: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TREES, "seed_grpo.cli", ast.parse(source))
    assert imports("seed_grpo.cli") == found
