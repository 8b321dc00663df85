"""The search page, rendered here as a whole so that it works without JavaScript; page.js adds drag, drop and paste."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug import Response
from werkzeug.exceptions import BadRequest

from hashsearch.images.decoding import thumbnail
from hashsearch.search.searcher import Hit, Searcher
from hashsearch.web.inventory import InventoryCache
from hashsearch.web.pictures import SIDE, Thumbnails
from hashsearch.web.request import parse_request
from hashsearch.web.service import SearchResults, SearchService

COUNTS = (12, 24, 48, 96)
_ACCEPTED_COUNTS = {str(k) for k in range(1, COUNTS[-1] + 1)}
_DEFAULT_COUNT = 24
_EXAMPLES = 12  # shown before a search

Controls = Mapping[str, str]  # the values of the page's controls by name; those at their default are missing


@dataclass(frozen=True)
class Card:
    """An indexed image as the page shows it; `hit` and `rank` if a search found it.

    Without a `picture`, `hidden` says why.
    """

    id: str
    title: str
    category: str | None
    link: str
    picture: str | None
    hidden: str | None = None
    hit: Hit | None = None
    rank: int | None = None


@dataclass(frozen=True)
class QueryPicture:
    """The picture searched with; `id` if it is an indexed image, `picture` is its address if it can be shown."""

    title: str
    picture: str | None
    hidden: str | None = None
    id: str | None = None


class SearchPage:
    """Renders the page: with examples to start from, or with results."""

    def __init__(self, service: SearchService, thumbnails: Thumbnails, clock: Callable[[], float]) -> None:
        self._service = service
        self._thumbnails = thumbnails
        self._inventories = {
            name: InventoryCache(searcher.index, clock) for name, searcher in service.searchers.items()
        }

    def examples(self, controls: Controls) -> str:
        """The page with some indexed images to start from."""
        category = [controls["category"]] if "category" in controls else []
        records = self._service.searcher(controls.get("model")).index.sample(_EXAMPLES, category)
        return self._render(controls, [self._card(image_id, record, controls) for image_id, record in records.items()])

    def similar_to_indexed(self, image_id: str, controls: Controls) -> str:
        """The page with the images most similar to an indexed one."""
        record = self._service.searcher(controls.get("model")).index.record(image_id)
        results = self._service.search(parse_request({"id": image_id, **_options(controls)}))
        card = self._card(image_id, record, controls)
        return self._render_results(controls, QueryPicture(card.title, card.picture, card.hidden, image_id), results)

    def similar_to_upload(self, name: str, image: bytes, controls: Controls) -> str:
        """The page with the indexed images most similar to an uploaded file."""
        results = self._service.search(parse_request(_options(controls), image))
        assert results.image is not None
        picture = f"data:image/jpeg;base64,{b64encode(thumbnail(results.image, SIDE)).decode()}"
        return self._render_results(controls, QueryPicture(name, picture), results)

    def _card(self, image_id: str, record: Mapping[str, Any], controls: Controls, **result: Any) -> Card:
        uri = record.get("uri")
        picture = self._thumbnails.address(image_id, uri, controls.get("model"))
        return Card(
            id=image_id,
            title=record.get("title") or PurePath(image_id).name or image_id,
            category=record.get("category"),
            link=url_for("pages.page", id=image_id, **controls),  # type: ignore[arg-type]  # values of any type go into an address
            picture=picture,
            hidden=None if picture else self._thumbnails.why_hidden(uri),
            **result,
        )

    def _render_results(self, controls: Controls, query: QueryPicture, results: SearchResults) -> str:
        cards = [
            self._card(hit.id, hit.as_dict(), controls, hit=hit, rank=rank)
            for rank, hit in enumerate(results.hits, start=1)
        ]
        return self._render(controls, cards, query=query, results=results)

    def _render(self, controls: Controls, cards: list[Card], query: QueryPicture | None = None, **parts: Any) -> str:
        searcher = self._service.searcher(controls.get("model"))
        return render_template(
            "page.html",
            cards=cards,
            query=query,
            reasons=sorted({shown.hidden for shown in (query, *cards) if shown and shown.hidden}),
            controls=controls,
            models=list(self._service.searchers),
            strategies=["", *_strategies(searcher)],  # "": automatic
            inventory=self._inventories[controls.get("model", self._service.default)].latest(),
            bits=searcher.encoder.bits,
            counts=COUNTS,
            default_count=_DEFAULT_COUNT,
            **parts,
        )


def blueprint(service: SearchService, thumbnails: Thumbnails, clock: Callable[[], float]) -> Blueprint:
    """`GET /`: the page, with results if it has `?id=`. `POST /`: results for an uploaded image."""
    routes = Blueprint("pages", __name__)
    search_page = SearchPage(service, thumbnails, clock)

    @routes.get("/")
    def page() -> str:
        """The page; with `?id=` the images most similar to that one, else some examples."""
        controls = _controls(request.args, service)
        if image_id := request.args.get("id"):
            return search_page.similar_to_indexed(image_id, controls)
        return search_page.examples(controls)

    @routes.post("/")
    def search() -> str | Response:
        """Results for the uploaded image; without an upload, a redirect to the page for the other fields."""
        controls = _controls(request.form, service)
        upload = request.files.get("image")
        if upload and upload.filename:
            return search_page.similar_to_upload(upload.filename, upload.read(), controls)
        return redirect(url_for("pages.page", **_nonempty(request.form, ("id",)), **controls), code=303)

    return routes


def _nonempty(fields: Mapping[str, str], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: fields[name] for name in names if fields.get(name)}


def _controls(fields: Mapping[str, str], service: SearchService) -> dict[str, Any]:
    """The values of the page's controls; those at their default are left out, so that links stay short.

    BadRequest for a k or a strategy that the page does not accept, SearchError for an unknown model.
    """
    controls = _nonempty(fields, ("model", "k", "category", "strategy"))
    strategies = _strategies(service.searcher(controls.get("model")))
    if "k" in controls and controls["k"] not in _ACCEPTED_COUNTS:
        raise BadRequest(f"k must be a whole number from 1 to {COUNTS[-1]}, got '{controls['k']}'")
    if "strategy" in controls and controls["strategy"] not in strategies:
        raise BadRequest(f"strategy must be one of {', '.join(strategies)}, got '{controls['strategy']}'")
    defaults = {"model": service.default, "k": str(_DEFAULT_COUNT)}
    return {name: value for name, value in controls.items() if value != defaults.get(name)}


def _options(controls: Controls) -> dict[str, Any]:
    """The controls as fields of a search request."""
    options: dict[str, Any] = {"k": int(controls.get("k", _DEFAULT_COUNT))}
    options |= _nonempty(controls, ("model", "strategy"))
    if "category" in controls:
        options["filters"] = {"category": controls["category"]}
    return options


def _strategies(searcher: Searcher) -> list[str]:
    return ["scan", "sub_codes", *(["graph"] if searcher.index.graph else [])]
