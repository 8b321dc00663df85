"""The shape of the house: imports go one way, heavy parts stay where they belong and load late."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import hashsearch

PACKAGE = Path(hashsearch.__file__).parent
ROOT = Path(__file__).parents[1]

# Each room may use itself and those before it.
ROOMS = (
    "errors telemetry progress files provenance overlap threads images config hashing embedders encoder descriptors "
    "catalog elastic node indexing search services reporting evaluation training duplicates web demo cli"
).split()

# What each sub-package of evaluation may use: those on the floors below it.
EVALUATION = {
    "data": set(),
    "metrics": set(),
    "methods": {"data", "metrics"},
    "compare": {"data", "metrics", "methods"},
    "live": {"data", "metrics", "methods"},
    "report": {"data", "metrics", "methods", "compare", "live"},
    "labelling": {"data", "metrics", "methods", "compare", "live", "report"},
}

# Who may use what is not ours; everything else is open to all.
CONFINED: dict[str, set[str]] = {
    "tensorflow": {"embedders", "training"},
    "keras": {"embedders", "training"},
    "tensorflow_hub": {"embedders"},
    "openvino": {"embedders"},
    "cv2": {"descriptors"},
    "imagehash": {"descriptors"},
    "elasticsearch": {"elastic", "services"},
    "elastic_transport": {"elastic"},
    "jgo": {"node"},
    "flask": {"web"},
    "waitress": {"web"},
    "pyarrow": {"catalog", "evaluation", "images"},
    "matplotlib": set(),
    "sklearn": {"evaluation"},
    "tqdm": {"cli"},
}

PURE = (
    "hashsearch.hashing.",
    "hashsearch.evaluation.metrics",
    "hashsearch.elastic.queries",
    "hashsearch.duplicates.sketches",
    "hashsearch.duplicates.components",
    "hashsearch.duplicates.keeping",
)
IMPURE = {"os", "io", "pathlib", "socket", "subprocess", "http", "urllib", "shutil", "tempfile", "elasticsearch", "PIL"}


def module_files() -> dict[str, Path]:
    files = PACKAGE.rglob("*.py")
    names = {file: ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in files}
    return {name.removesuffix(".__init__"): file for file, name in names.items()}


MODULES = module_files()


def imported(name: str) -> set[str]:
    """Modules that a module imports wherever it does: at its head, within a function, for its types."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute here"
            of = f"{node.module}"
            inside = {f"{of}.{alias.name}" for alias in node.names}
            found |= {module if module in MODULES else of for module in inside}
    return found


def room(module: str) -> str:
    return module.split(".")[1]


ROOMED = [name for name in MODULES if name not in ("hashsearch", "hashsearch.__main__")]


def test_modules_sort_topologically() -> None:
    graph = {name: imported(name) & MODULES.keys() for name in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_every_room_is_on_the_plan() -> None:
    assert {room(name) for name in ROOMED} <= set(ROOMS)


@pytest.mark.parametrize("name", ROOMED)
def test_a_module_uses_its_own_room_and_those_before_it(name: str) -> None:
    allowed = ROOMS[: ROOMS.index(room(name)) + 1]
    ours = {module for module in imported(name) if module.split(".")[0] == "hashsearch"} - {"hashsearch"}
    assert {module for module in ours if room(module) not in allowed} == set()


def evaluation_room(module: str) -> str | None:
    """The sub-package of evaluation that a module belongs to; None outside."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 and parts[1] == "evaluation" else None


def evaluation_arrows() -> dict[str, set[str]]:
    """For each sub-package of evaluation the others that it imports."""
    arrows: dict[str, set[str]] = {}
    for name in MODULES:
        if own := evaluation_room(name):
            used = {other for module in imported(name) if (other := evaluation_room(module))}
            arrows.setdefault(own, set()).update(used - {own})
    return arrows


def test_sub_packages_of_evaluation_use_only_those_below_them() -> None:
    arrows = evaluation_arrows()
    assert {(own, other) for own, used in arrows.items() for other in used - EVALUATION.get(own, set())} == set()


def test_evaluation_has_at_most_eight_rooms_on_four_floors() -> None:
    arrows = evaluation_arrows()
    floor: dict[str, int] = {}
    for own in TopologicalSorter(arrows).static_order():  # CycleError where two use each other
        floor[own] = 1 + max((floor[other] for other in arrows[own]), default=0)
    assert arrows.keys() == EVALUATION.keys()
    assert len(arrows) <= 8
    assert max(floor.values()) <= 4


@pytest.mark.parametrize("library", CONFINED)
def test_a_library_stays_in_its_rooms(library: str) -> None:
    users = {room(name) for name in ROOMED if library in {module.split(".")[0] for module in imported(name)}}
    assert users <= CONFINED[library]


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(PURE)])
def test_the_core_opens_no_file_and_no_socket(name: str) -> None:
    assert not IMPURE & {module.split(".")[0] for module in imported(name)}
    calls = [node.func for node in ast.walk(ast.parse(MODULES[name].read_text())) if isinstance(node, ast.Call)]
    assert "open" not in {call.id for call in calls if isinstance(call, ast.Name)}


def test_few_modules_are_loose() -> None:
    loose = [file.name for file in PACKAGE.glob("*.py") if file.name not in ("__init__.py", "__main__.py")]
    assert len(loose) <= 10, loose


SOURCES = sorted(
    file for folder in ("hashsearch", "jobs", "benchmarks", "tests") for file in (ROOT / folder).rglob("*.py")
)
SOURCE_NAMES = [file.relative_to(ROOT).as_posix() for file in SOURCES]


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str | None]]:
    """Line and name of all that a module names: variables, parameters, keywords, attributes, functions, classes."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.alias(asname=name) | ast.ExceptHandler(name=name) | ast.MatchAs(name=name):
                yield node.lineno, name


@pytest.mark.parametrize("file", SOURCES, ids=SOURCE_NAMES)
def test_a_name_says_what_the_thing_is(file: Path) -> None:
    """Not only what was done with it."""
    named = identifiers(ast.parse(file.read_text()))
    offenders = {f"line {line}: {name}" for line, name in named if name in ("told", "asked", "held", "seen")}
    assert not offenders, f"{file.relative_to(ROOT)}: {', '.join(sorted(offenders))}"


@pytest.mark.parametrize("file", SOURCES, ids=SOURCE_NAMES)
def test_an_ignored_type_error_has_a_code_and_a_reason(file: Path) -> None:
    with file.open("rb") as lines:
        comments = [token.string for token in tokenize.tokenize(lines.readline) if token.type == tokenize.COMMENT]
    ignored = [comment for comment in comments if comment.startswith("# type: ignore")]
    assert [comment for comment in ignored if not re.match(r"# type: ignore\[[a-z-]+\]  # \w", comment)] == []


HEAVY = "tensorflow keras openvino cv2 elasticsearch flask waitress pyarrow matplotlib jgo imagehash scipy sklearn"
JOB_NAMES = [name for name in MODULES if name.startswith("hashsearch.cli.jobs.")]


@pytest.mark.parametrize("module", ["hashsearch", "hashsearch.cli.main", *JOB_NAMES])
def test_heavy_parts_load_late(module: str) -> None:
    program = f"import sys, {module}; print(*({{*'{HEAVY}'.split()}} & sys.modules.keys()))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []


def test_the_package_itself_imports_nothing_but_the_standard_library() -> None:
    program = "import sys; before = {*sys.modules}; import hashsearch; print(*{*sys.modules} - before)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {name.split(".")[0] for name in answer.stdout.split()} <= {"hashsearch", *sys.stdlib_module_names}
