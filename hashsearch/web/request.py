"""Strict parsing of search requests: a SearchRequest, or BadRequest with the field and the rule it breaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flask import Request
from numpy.typing import NDArray
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from hashsearch.errors import SearchError
from hashsearch.search.planner import SearchOptions

_MAX_FILTER_VALUES = 1000  # of all filters together
_MAX_JSON = 1_000_000  # bytes or characters; a vector of 8,192 numbers has 180,000


@dataclass(frozen=True)
class SearchRequest:
    """One of image, id and vector, and how to search with it.

    With `radius` the hits are all images within it instead of the k best. `model` is the name of a model that is
    served, None for the default.
    """

    image: bytes | None = None
    id: str | None = None
    vector: NDArray[np.float32] | None = None
    crop: list[float] | None = None
    radius: int | None = None
    model: str | None = None
    options: SearchOptions = SearchOptions()


def read_request(request: Request) -> SearchRequest:
    """The search request in an API request.

    BadRequest, UnsupportedMediaType, RequestEntityTooLarge; SearchError for an option outside its range.
    """
    if request.mimetype == "application/json":
        fields = _parse_json(request.get_data(), "the body")
        if not isinstance(fields, dict):
            raise BadRequest(f"the body must be a JSON object, got {_quoted(fields)}")
        return parse_request(fields)
    if request.mimetype == "multipart/form-data":
        return parse_request(_form_fields(request), _image(request))
    raise UnsupportedMediaType(
        "a search must be sent as multipart/form-data with an image, or as application/json with an id or a vector, "
        f"got {_quoted(request.mimetype)}"
    )


def parse_request(fields: Mapping[str, Any], image: bytes | None = None) -> SearchRequest:
    """The search request of JSON fields, or of an image and JSON fields; the same errors."""
    values = {name: _check(name, value) for name, value in fields.items()}
    queries = [name for name in ("id", "vector") if name in values] + ["image"] * (image is not None)
    if len(queries) != 1:
        raise BadRequest(f"a search needs exactly one of image, id and vector, got {' and '.join(queries) or 'none'}")
    if "crop" in values and image is None:
        raise BadRequest("crop needs an image, it cannot be used with an id or a vector")
    if "radius" in values and (unused := [name for name in _NOT_WITH_RADIUS if name in values]):
        raise BadRequest(f"radius returns every image within it, it cannot be combined with {unused[0]}")
    query = {name: values.pop(name) for name in ("id", "vector", "crop", "radius", "model") if name in values}
    filters = values.pop("filters", {})
    return SearchRequest(image=image, **query, options=SearchOptions(**values, **filters))


def _parse_json(text: bytes | str, what: str) -> Any:
    """A JSON value; BadRequest for anything else, for NaN and Infinity, and for a repeated name in an object.

    RequestEntityTooLarge for a text that would take long to parse.
    """
    if len(text) > _MAX_JSON:
        raise RequestEntityTooLarge(f"{what} may have at most {_MAX_JSON} bytes as JSON, got {len(text)}")
    try:
        return _strict_json(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{what} must be JSON: {error}") from error


def _strict_json(text: bytes | str) -> Any:
    return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_repetition)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name may occur only once in an object")
    return fields


def _form_fields(request: Request) -> dict[str, Any]:
    """Form fields as JSON values: each is written as JSON, except strategy and model, which are plain text."""
    fields: dict[str, Any] = {}
    for name, texts in request.form.lists():
        if len(texts) > 1:
            raise BadRequest(f"{_quoted(name)} may be given only once, got {len(texts)} values")
        if name in ("image", "id", "vector"):
            raise BadRequest(f"a form must contain the image as a file named 'image', got the text field '{name}'")
        fields[name] = texts[0] if name in ("strategy", "model") else _form_value(name, texts[0])
    return fields


def _form_value(name: str, text: str) -> Any:
    """The JSON value of a field. Other text, as in `k=two`, comes back as it is: the rule of the field refuses it."""
    if text.lstrip().startswith(("[", "{")):
        return _parse_json(text, _quoted(name))
    try:
        return _strict_json(text)
    except ValueError:
        return text


def _image(request: Request) -> bytes | None:
    for name, files in request.files.lists():
        if name != "image" or len(files) > 1:
            raise BadRequest(f"a form must contain one file, named 'image', got {len(files)} named {_quoted(name)}")
    file = request.files.get("image")
    return None if file is None else file.read()


def _check(name: str, value: Any) -> Any:
    if name not in _CHECKS:
        raise BadRequest(f"unknown field {_quoted(name)}, known: {', '.join(_CHECKS)}")
    return _CHECKS[name](name, value)


def _file(name: str, value: Any) -> bytes:
    raise BadRequest(f"{name} must be a file, sent as multipart/form-data, got {_quoted(value)}")


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value or not _is_unicode(value):
        raise BadRequest(f"{name} must be text, got {_quoted(value)}")
    return value


def _is_unicode(text: str) -> bool:
    """False for a lone surrogate, which JSON can express and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _integer(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequest(f"{name} must be a whole number, got {_quoted(value)}")
    return value


def _number(name: str, value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise BadRequest(f"{name} must be a number, got {_quoted(value)}")
    return value


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false, got {_quoted(value)}")
    return value


def _numbers(name: str, value: Any) -> list[float]:
    if not isinstance(value, list):
        raise BadRequest(f"{name} must be a list of numbers, got {_quoted(value)}")
    return [_number(f"each number of {name}", number) for number in value]


def _vector(name: str, value: Any) -> NDArray[np.float32]:
    numbers = _numbers(name, value)
    try:
        return np.array(numbers, dtype=np.float32)
    except OverflowError as error:
        raise SearchError(f"{name} must be finite as 32-bit floats: {error}") from error


def _filters(name: str, value: Any) -> dict[str, Any]:
    """`category` and `attributes` as arguments of SearchOptions."""
    fields = _object(name, value)
    for unknown in fields.keys() - {"category", "attributes"}:
        raise BadRequest(f"unknown filter {_quoted(unknown)}, known: category, attributes")
    options: dict[str, Any] = {}
    if "category" in fields:
        options["category"] = _values("category", fields["category"])
    if "attributes" in fields:
        attributes = _object("attributes", fields["attributes"]).items()
        options["attributes"] = {_text("an attribute's name", key): _values(key, value) for key, value in attributes}
    count = sum(map(len, [options.get("category", []), *options.get("attributes", {}).values()]))
    if count > _MAX_FILTER_VALUES:
        raise SearchError(f"filters may have at most {_MAX_FILTER_VALUES} values in total, got {count}")
    return options


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRequest(f"{name} must be a JSON object, got {_quoted(value)}")
    return value


def _values(name: str, value: Any) -> list[str]:
    """The texts to match, from one value or a list; the index stores numbers and booleans as their JSON text."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise BadRequest(f"filter {_quoted(name)} must have at least one value, got none")
    return [
        json.dumps(item) if isinstance(item, (bool, int, float)) else _text(f"filter {_quoted(name)}", item)
        for item in values
    ]


def _quoted(value: Any) -> str:
    """A value as messages quote it, shortened."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "image": _file,
    "id": _text,
    "vector": _vector,
    "k": _integer,
    "candidates": _integer,
    "strategy": _text,
    "compared": _integer,
    "probes": _integer,
    "min_cosine": _number,
    "explain": _boolean,
    "filters": _filters,
    "crop": _numbers,
    "radius": _integer,
    "model": _text,
}
_NOT_WITH_RADIUS = ("k", "candidates", "strategy", "compared", "probes", "explain")
