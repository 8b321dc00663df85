"""The search page: rendered here whole, so that it works without JavaScript; page.js adds drag, paste and waiting."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug import Response
from werkzeug.exceptions import BadRequest

from hashsearch.images.decoding import thumbnail
from hashsearch.search.searcher import Hit
from hashsearch.web.pictures import SIDE, Pictures
from hashsearch.web.request import asked
from hashsearch.web.service import Answer, SearchService

COUNTS = (12, 24, 48, 96)
_DEFAULT_COUNT = 24
_STARTERS = 12


@dataclass(frozen=True)
class Card:
    """An indexed image as the page shows it; `hit` and `rank` where it was found by a search."""

    id: str
    title: str
    category: str | None
    link: str
    picture: str | None
    hit: Hit | None = None
    rank: int | None = None


@dataclass(frozen=True)
class Query:
    """What was searched with, as the page shows it."""

    title: str
    picture: str | None
    id: str | None = None


def blueprint(answerer: SearchService, pictures: Pictures) -> Blueprint:
    """`GET /`: the page, with hits where it has `?id=`. `POST /`: hits for an uploaded image."""
    routes = Blueprint("pages", __name__)

    def card(image_id: str, shown: Mapping[str, Any], controls: Mapping[str, Any], **found: Any) -> Card:
        return Card(
            id=image_id,
            title=shown.get("title") or PurePath(image_id).name or image_id,
            category=shown.get("category"),
            link=url_for("pages.page", id=image_id, **controls),
            picture=pictures.address(image_id, shown.get("uri"), controls.get("model")),
            **found,
        )

    def render(controls: Mapping[str, Any], cards: list[Card], **parts: Any) -> str:
        searcher = answerer.searcher(controls.get("model"))
        return render_template(
            "page.html",
            cards=cards,
            controls=controls,
            models=list(answerer.searchers),
            strategies=["", "scan", "sub_codes", *(["graph"] if searcher.index.graph else [])],  # "": what suits it
            count=searcher.index.count(),
            categories=searcher.index.categories(),
            bits=searcher.encoder.bits,
            counts=COUNTS,
            default_count=_DEFAULT_COUNT,
            **parts,
        )

    def render_answer(controls: Mapping[str, Any], query: Query, answer: Answer) -> str:
        cards = [
            card(hit.id, hit.as_dict(), controls, hit=hit, rank=rank) for rank, hit in enumerate(answer.hits, start=1)
        ]
        return render(controls, cards, query=query, answer=answer)

    @routes.get("/")
    def page() -> str:
        """The page; with `?id=` the images most like that one, else a few to start from."""
        controls = _controls(request.args, answerer.default)
        index = answerer.searcher(controls.get("model")).index
        image_id = request.args.get("id")
        if not image_id:
            category = [controls["category"]] if "category" in controls else []
            records = index.sample(_STARTERS, category)
            return render(controls, [card(one, record, controls) for one, record in records.items()])
        record = index.record(image_id)
        answer = answerer.answer(asked({"id": image_id, **_options(controls)}))
        chosen = card(image_id, record, controls)
        return render_answer(controls, Query(chosen.title, chosen.picture, image_id), answer)

    @routes.post("/")
    def search() -> str | Response:
        """The images most like the uploaded one; without one, on to the page that the other fields ask for."""
        controls = _controls(request.form, answerer.default)
        upload = request.files.get("image")
        if not upload or not upload.filename:
            return redirect(url_for("pages.page", **_given(request.form, ("id",)), **controls), code=303)
        answer = answerer.answer(asked(_options(controls), upload.read()))
        assert answer.image is not None
        picture = f"data:image/jpeg;base64,{b64encode(thumbnail(answer.image, SIDE)).decode()}"
        return render_answer(controls, Query(upload.filename, picture), answer)

    return routes


def _given(fields: Mapping[str, str], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: fields[name] for name in names if fields.get(name)}


def _controls(fields: Mapping[str, str], model: str) -> dict[str, Any]:
    """What the page's controls are set to; those left at their default are missing, so that links stay short."""
    controls = _given(fields, ("model", "k", "category", "strategy"))
    defaults = {"model": model, "k": str(_DEFAULT_COUNT)}
    return {name: value for name, value in controls.items() if value != defaults.get(name)}


def _options(controls: Mapping[str, Any]) -> dict[str, Any]:
    """The controls as fields of a search request."""
    options: dict[str, Any] = {"k": _whole(controls.get("k", str(_DEFAULT_COUNT)))}
    options |= _given(controls, ("model", "strategy"))
    if "category" in controls:
        options["filters"] = {"category": controls["category"]}
    return options


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadRequest(f"k must be a whole number, got '{text}'")
    return int(text)
