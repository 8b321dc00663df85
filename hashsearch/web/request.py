"""A search request, read strictly: what it asks for, or BadRequest with the field and the rule it breaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flask import Request
from numpy.typing import NDArray
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from hashsearch.errors import SearchError
from hashsearch.search.searcher import SearchOptions

_MOST_VALUES = 1000  # of all filters together


@dataclass(frozen=True)
class SearchRequest:
    """One of image, id and vector, and how to search with it. `radius`: all images within it instead of the k best.

    `model` is the name of one that is served, None the first.
    """

    image: bytes | None = None
    id: str | None = None
    vector: NDArray[np.float32] | None = None
    crop: list[float] | None = None
    radius: int | None = None
    model: str | None = None
    options: SearchOptions = SearchOptions()


def read(request: Request) -> SearchRequest:
    """What an API request asks for. BadRequest, UnsupportedMediaType; SearchError for an option outside its range."""
    if request.mimetype == "application/json":
        fields = parse_json(request.get_data(), "the body")
        if not isinstance(fields, dict):
            raise BadRequest(f"the body must be a JSON object, got {_shown(fields)}")
        return asked(fields)
    if request.mimetype == "multipart/form-data":
        return asked(_form_fields(request), _image(request))
    raise UnsupportedMediaType(
        "a search is sent as multipart/form-data with an image, or as application/json with an id or a vector, "
        f"got {_shown(request.mimetype)}"
    )


def asked(fields: Mapping[str, Any], image: bytes | None = None) -> SearchRequest:
    """What fields as JSON holds them, and the bytes of an image, ask for."""
    values = {name: _check(name, value) for name, value in fields.items()}
    given = [name for name in ("id", "vector") if name in values] + ["image"] * (image is not None)
    if len(given) != 1:
        raise BadRequest(f"a search needs exactly one of image, id and vector, got {' and '.join(given) or 'none'}")
    if "crop" in values and image is None:
        raise BadRequest("crop goes with an image only")
    if "radius" in values and (idle := [name for name in _NOT_WITH_RADIUS if name in values]):
        raise BadRequest(f"radius answers every image within it, so {idle[0]} cannot go with it")
    query = {name: values.pop(name) for name in ("id", "vector", "crop", "radius", "model") if name in values}
    filters = values.pop("filters", {})
    return SearchRequest(image=image, **query, options=SearchOptions(**values, **filters))


def parse_json(text: bytes | str, what: str) -> Any:
    """A JSON value; BadRequest for anything else, for NaN and Infinity, and for a name that stands twice."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{what} must be JSON: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name may stand in an object once")
    return fields


def _form_fields(request: Request) -> dict[str, Any]:
    """Form fields as JSON would hold them: each is JSON, but strategy and model, which are bare text."""
    fields: dict[str, Any] = {}
    for name, texts in request.form.lists():
        if len(texts) > 1:
            raise BadRequest(f"{_shown(name)} may be given once, got it {len(texts)} times")
        if name in ("image", "id", "vector"):
            raise BadRequest(f"a form holds an image file as 'image', got {name} as a text field")
        fields[name] = texts[0] if name in ("strategy", "model") else parse_json(texts[0], _shown(name))
    return fields


def _image(request: Request) -> bytes | None:
    for name, files in request.files.lists():
        if name != "image" or len(files) > 1:
            raise BadRequest(f"a form holds one file, named 'image', got {len(files)} named {_shown(name)}")
    file = request.files.get("image")
    return None if file is None else file.read()


def _check(name: str, value: Any) -> Any:
    if name not in _CHECKS:
        raise BadRequest(f"unknown field {_shown(name)}, known: {', '.join(_CHECKS)}")
    return _CHECKS[name](name, value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value or not _is_unicode(value):
        raise BadRequest(f"{name} must be text, got {_shown(value)}")
    return value


def _is_unicode(text: str) -> bool:
    """False for half a surrogate pair, which JSON can say and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequest(f"{name} must be a whole number, got {_shown(value)}")
    return value


def _number(name: str, value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise BadRequest(f"{name} must be a number, got {_shown(value)}")
    return value


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false, got {_shown(value)}")
    return value


def _numbers(name: str, value: Any) -> list[float]:
    if not isinstance(value, list):
        raise BadRequest(f"{name} must be a list of numbers, got {_shown(value)}")
    return [_number(f"each number of {name}", number) for number in value]


def _vector(name: str, value: Any) -> NDArray[np.float32]:
    numbers = _numbers(name, value)
    try:
        return np.array(numbers, dtype=np.float32)
    except OverflowError as error:
        raise SearchError(f"{name} must be finite in 32 bits: {error}") from error


def _filters(name: str, value: Any) -> dict[str, Any]:
    """`category` and `attributes` as SearchOptions takes them."""
    fields = _object(name, value)
    for unknown in fields.keys() - {"category", "attributes"}:
        raise BadRequest(f"unknown filter {_shown(unknown)}, known: category, attributes")
    chosen: dict[str, Any] = {}
    if "category" in fields:
        chosen["category"] = _values("category", fields["category"])
    if "attributes" in fields:
        named = _object("attributes", fields["attributes"]).items()
        chosen["attributes"] = {_text("an attribute's name", key): _values(key, held) for key, held in named}
    count = sum(map(len, [chosen.get("category", []), *chosen.get("attributes", {}).values()]))
    if count > _MOST_VALUES:
        raise SearchError(f"filters may name at most {_MOST_VALUES} values, got {count}")
    return chosen


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRequest(f"{name} must be a JSON object, got {_shown(value)}")
    return value


def _values(name: str, value: Any) -> list[str]:
    """The texts to match, of one value or a list; the index holds numbers and truth values as their JSON text."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise BadRequest(f"filter {_shown(name)} must name at least one value, got none")
    return [
        json.dumps(one) if isinstance(one, (bool, int, float)) else _text(f"filter {_shown(name)}", one)
        for one in values
    ]


def _shown(value: Any) -> str:
    """A value as a message quotes it: short."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "id": _text,
    "vector": _vector,
    "k": _whole,
    "candidates": _whole,
    "strategy": _text,
    "compared": _whole,
    "probes": _whole,
    "min_cosine": _number,
    "explain": _truth,
    "filters": _filters,
    "crop": _numbers,
    "radius": _whole,
    "model": _text,
}
_NOT_WITH_RADIUS = ("k", "candidates", "strategy", "compared", "probes", "explain")
