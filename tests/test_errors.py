"""The error tree is the one drawn in its docstring."""

from __future__ import annotations

import inspect
import re

import pytest

from hashsearch import errors
from hashsearch.errors import EncoderMismatch, HashsearchError, ImageTooLarge, StoreError, WeightsMismatch


def real_tree(root: type[HashsearchError] = HashsearchError, depth: int = 0) -> set[tuple[str, int, str | None]]:
    found = {(root.__name__, depth, root.__bases__[0].__name__ if depth else None)}
    return found.union(*(real_tree(child, depth + 1) for child in root.__subclasses__()))


def drawn_tree() -> set[tuple[str, int, str | None]]:
    found: set[tuple[str, int, str | None]] = set()
    branch: list[str] = []
    for indent, name in re.findall(r"^    ((?:[├└│ ][─ ]{2} ?)*)(\w+)", inspect.getdoc(errors) or "", re.MULTILINE):
        depth = len(indent) // 4
        branch[depth:] = [name]
        found.add((name, depth, branch[depth - 1] if depth else None))
    return found


def test_the_drawn_tree_is_the_real_one() -> None:
    assert drawn_tree() == real_tree()


def test_every_error_of_the_module_is_of_the_tree() -> None:
    classes = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert classes == {name for name, _, _ in real_tree()}


def test_codes_are_the_names_in_snake_case() -> None:
    assert HashsearchError.code == "hashsearch_error"
    assert ImageTooLarge.code == "image_too_large"
    codes = [getattr(errors, name).code for name, _, _ in real_tree()]
    assert len(set(codes)) == len(codes)


def test_a_family_is_caught_by_its_head() -> None:
    with pytest.raises(StoreError):
        raise errors.IndexNotFound("no")
    with pytest.raises(HashsearchError):
        raise EncoderMismatch("i", "a", "b")


def test_errors_carry_data() -> None:
    mismatch = EncoderMismatch("images-1", indexed_with="aaaa", encoder="bbbb")
    assert (mismatch.index, mismatch.indexed_with, mismatch.encoder) == ("images-1", "aaaa", "bbbb")
    assert all(part in str(mismatch) for part in ("images-1", "aaaa", "bbbb"))
    weights = WeightsMismatch("names must fit", missing=("a",), extra=("b", "c"))
    assert (str(weights), weights.missing, weights.extra) == ("names must fit", ("a",), ("b", "c"))
