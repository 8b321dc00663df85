"""The error tree is the one drawn in its docstring, and error codes never change."""

from __future__ import annotations

import inspect
import re

import pytest

from hashsearch import errors
from hashsearch.errors import EncoderMismatch, HashsearchError, StoreError, WeightsMismatch


def real_tree(root: type[HashsearchError] = HashsearchError, depth: int = 0) -> set[tuple[str, int, str | None]]:
    classes = {(root.__name__, depth, root.__bases__[0].__name__ if depth else None)}
    return classes.union(*(real_tree(child, depth + 1) for child in root.__subclasses__()))


def drawn_tree() -> set[tuple[str, int, str | None]]:
    classes: set[tuple[str, int, str | None]] = set()
    branch: list[str] = []
    for indent, name in re.findall(r"^    ((?:[├└│ ][─ ]{2} ?)*)(\w+)", inspect.getdoc(errors) or "", re.MULTILINE):
        depth = len(indent) // 4
        branch[depth:] = [name]
        classes.add((name, depth, branch[depth - 1] if depth else None))
    return classes


def test_the_drawn_tree_is_the_real_one() -> None:
    assert drawn_tree() == real_tree()


def test_every_class_of_the_module_is_in_the_tree() -> None:
    classes = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert classes == {name for name, _, _ in real_tree()}


CODES = {
    "hashsearch_error": "HashsearchError",
    "config_error": "ConfigError",
    "image_error": "ImageError",
    "unreadable": "Unreadable",
    "empty_image": "EmptyImage",
    "not_an_image": "NotAnImage",
    "truncated_image": "TruncatedImage",
    "image_too_large": "ImageTooLarge",
    "too_many_pixels": "TooManyPixels",
    "invalid_crop": "InvalidCrop",
    "fetch_error": "FetchError",
    "embedder_error": "EmbedderError",
    "unknown_embedder": "UnknownEmbedder",
    "weights_not_found": "WeightsNotFound",
    "weights_mismatch": "WeightsMismatch",
    "hashing_error": "HashingError",
    "encoder_error": "EncoderError",
    "encoder_mismatch": "EncoderMismatch",
    "vocabulary_error": "VocabularyError",
    "vocabulary_mismatch": "VocabularyMismatch",
    "catalog_error": "CatalogError",
    "changes_not_accepted": "ChangesNotAccepted",
    "search_error": "SearchError",
    "flat_image": "FlatImage",
    "evaluation_error": "EvaluationError",
    "training_error": "TrainingError",
    "node_error": "NodeError",
    "store_error": "StoreError",
    "store_unavailable": "StoreUnavailable",
    "request_too_large": "RequestTooLarge",
    "index_not_found": "IndexNotFound",
    "image_not_found": "ImageNotFound",
}


def test_codes_never_change() -> None:
    """Clients compare them, and rejects files contain them."""
    assert {getattr(errors, name).code: name for name, _, _ in real_tree()} == CODES


@pytest.mark.parametrize("name", CODES.values())
def test_every_class_has_its_code_as_a_literal_of_its_own(name: str) -> None:
    assert "code" in vars(getattr(errors, name))


def test_a_base_class_catches_its_subclasses() -> None:
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
