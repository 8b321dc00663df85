"""The package's public face: few names, loaded late, each with a docstring that a tool can render, enough to search."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import hashsearch

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

SECTIONS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Notes", "Examples", "See Also")
NAMES = sorted(hashsearch.__all__)
CLASSES = [name for name in NAMES if inspect.isclass(getattr(hashsearch, name))]
FUNCTIONS = [name for name in NAMES if name not in CLASSES]


def sections(docstring: str) -> dict[str, list[str]]:
    """The numpydoc sections of a docstring, each with the names that it documents."""
    lines = inspect.cleandoc(docstring).splitlines()
    documented: dict[str, list[str]] = {}
    names: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""]):
        if line in SECTIONS and following == "-" * len(line):
            names = documented[line] = []
        elif line and not line.startswith((" ", "-")):
            names += re.split(r", *", line.split(" : ")[0])
    return documented


def parameters(of: Any) -> list[str]:
    """What a caller gives to a function, or to a class to make one of it."""
    if is_dataclass(of):
        return [field.name for field in fields(of) if field.init]
    return [
        parameter.name
        for parameter in inspect.signature(of).parameters.values()
        if parameter.name not in ("self", "cls") and parameter.kind is not parameter.VAR_KEYWORD
    ]


def test_all_names_are_listed_once_in_each_place() -> None:
    tree = ast.parse(Path(hashsearch.__file__).read_text())
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == hashsearch._PLACES
    assert sorted(typed) == hashsearch.__all__ == NAMES
    assert 12 <= len(NAMES) <= 18


def test_every_name_resolves_to_something_of_this_package() -> None:
    for name in NAMES:
        value = getattr(hashsearch, name)
        assert value.__module__.startswith("hashsearch."), name
        assert value is getattr(hashsearch, name)
    assert set(NAMES) <= set(dir(hashsearch))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'hashsearch' has no attribute 'nothing'"):
        _ = hashsearch.nothing
    with pytest.raises(ImportError):
        exec("from hashsearch import nothing")


@pytest.mark.parametrize(
    "name", ["Settings", "HashsearchError", "Catalog", "load_encoder", "open_searcher", "ImageReader"]
)
def test_a_name_loads_no_network(name: str) -> None:
    program = (
        f"import sys; from hashsearch import {name}; print(*{{'tensorflow', 'flask', 'click'}} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_package_is_typed_and_has_a_version() -> None:
    assert (Path(hashsearch.__file__).parent / "py.typed").is_file()
    assert re.fullmatch(r"\d+\.\d+\.\d+", hashsearch.__version__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_documents_what_it_takes_and_gives(name: str) -> None:
    function = getattr(hashsearch, name)
    documented = sections(function.__doc__ or "")
    lacking = set(parameters(function)) - set(documented.get("Parameters", ()))
    assert not lacking, f"Parameters of {name} lack {', '.join(sorted(lacking))}"
    assert set(documented.get("Parameters", ())) <= set(parameters(function)), f"{name} documents more than it takes"
    if inspect.signature(function).return_annotation not in (None, "None"):
        assert "Returns" in documented or "Yields" in documented, f"{name} lacks Returns"


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_documents_what_it_is_made_of(name: str) -> None:
    kind = getattr(hashsearch, name)
    documented = [sections(base.__doc__ or "") for base in kind.__mro__[:-1]]
    names = {name for of in documented for section in ("Parameters", "Attributes") for name in of.get(section, ())}
    lacking = set() if issubclass(kind, Exception) else set(parameters(kind)) - names
    assert not lacking, f"Parameters or Attributes of {name} lack {', '.join(sorted(lacking))}"


@pytest.mark.parametrize("name", CLASSES)
def test_the_public_methods_of_a_class_have_docstrings(name: str) -> None:
    kind = getattr(hashsearch, name)
    for method, value in vars(kind).items():
        if not method.startswith("_") and (inspect.isroutine(value) or isinstance(value, (property, classmethod))):
            assert inspect.getdoc(value), f"{name}.{method}"


def test_a_short_program_indexes_a_folder_and_searches(
    client: Elasticsearch, fresh_name: str, tmp_path: Path, node: Any
) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(256, size=(40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    docstring = inspect.cleandoc(hashsearch.__doc__ or "")
    program = "\n".join(line[4:] for line in docstring.split("::\n")[1].splitlines())
    program = program.replace('Path("photos")', repr(tmp_path / "photos").replace("Posix", ""))
    program = program.replace('"photo.jpg"', repr(str(tmp_path / "photos" / "1.png")))
    variables = {"HASHSEARCH_ES_URL": node.url, "HASHSEARCH_INDEX": fresh_name, "HASHSEARCH_HOME": str(tmp_path)}
    program = f"import os; os.environ |= {variables!r}\n{program}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    hits = [line.split() for line in done.stdout.splitlines()]
    assert (hits[0][1], len(hits)) == ("1.png", 3)
    assert float(hits[0][0]) == pytest.approx(1, abs=1e-5)
