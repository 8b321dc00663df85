"""The API and the page without a browser: results, refusals, and which pictures may be shown."""

from __future__ import annotations

import base64
import gc
import html
import io
import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urljoin

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.indices import filled, fresh_index_name
from support.shop import ADDRESS, COLOURS, Shop
from support.vectors import toy_encoder
from werkzeug.exceptions import RequestEntityTooLarge, ServiceUnavailable
from werkzeug.test import TestResponse

from benchmarks import bad_images
from hashsearch.config import Settings
from hashsearch.elastic.client import connect
from hashsearch.elastic.maintenance import add_graph
from hashsearch.errors import (
    ConfigError,
    EncoderMismatch,
    HashsearchError,
    IndexNotFound,
    SearchError,
    StoreError,
    StoreUnavailable,
    WeightsNotFound,
)
from hashsearch.hashing.bits import hamming
from hashsearch.images.decoding import crop, decode
from hashsearch.search.searcher import Searcher
from hashsearch.web import create_app, server
from hashsearch.web.failures import ErrorResponse
from hashsearch.web.service import Gate

MAX_BYTES, MAX_PIXELS = 200_000, 100_000
RED_MUG = "mugs/red.png"


@pytest.fixture(scope="module")
def options(shop: Shop) -> Settings:
    return Settings(home=shop.secret, image_roots=(shop.folder,), max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)


@pytest.fixture(scope="module")
def web(shop: Shop, options: Settings) -> FlaskClient:
    return create_app({"shop": shop.searcher}, options).test_client()


@pytest.fixture(scope="module")
def lonely(shop: Shop, options: Settings) -> Iterator[FlaskClient]:
    """The same application while Elasticsearch does not answer."""
    with connect("http://127.0.0.1:9") as nobody:
        away = Searcher(shop.searcher.encoder, replace(shop.searcher.index, client=nobody))
        yield create_app({"shop": away}, options).test_client()


def search(web: FlaskClient, **fields: Any) -> TestResponse:
    """The answer to a JSON search."""
    return web.post("/api/search", json=fields)


def search_image(web: FlaskClient, data: bytes, **fields: str) -> TestResponse:
    """The answer to a multipart search."""
    return web.post("/api/search", data={"image": (io.BytesIO(data), "query.png"), **fields})


def body(answer: TestResponse) -> Any:
    """The JSON of an answer."""
    return answer.json


def ids(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["id"] for hit in body(answer)["hits"]]


def png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(out, "PNG")
    return out.getvalue()


def as_bmp(data: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).save(out, "BMP")
    return out.getvalue()


class TestSearch:
    def test_an_image_finds_itself_first_in_any_format(self, web: FlaskClient, shop: Shop) -> None:
        answer = search_image(web, as_bmp(shop.picture("flyers/gold.png")), k="3")
        first = body(answer)["hits"][0]
        assert first["id"] == "flyers/gold.png"
        assert first["cosine"] == pytest.approx(1, abs=1e-5)
        assert (first["hamming"], first["hamming_rank"], len(body(answer)["hits"])) == (0, 1, 3)
        assert (first["title"], first["category"]) == ("gold flyers", "flyers")
        assert body(answer)["query"] == {"by": "image", "width": 96, "height": 72}
        assert set(body(answer)["timings"]) == {"decode_ms", "embed_ms", "search_ms"}
        assert body(answer)["took_ms"] >= sum(body(answer)["timings"].values()) - 0.02

    def test_an_id_and_its_vector_find_what_cosine_says(self, web: FlaskClient, shop: Shop) -> None:
        query = shop.vectors[RED_MUG]
        cosines = {image_id: float(vector @ query) for image_id, vector in shop.vectors.items()}
        by_vector = search(web, vector=[float(value) * 1e30 for value in query], k=8)
        for hit in body(by_vector)["hits"]:
            assert hit["cosine"] == pytest.approx(cosines[hit["id"]], abs=1e-5)
        found = [hit["cosine"] for hit in body(by_vector)["hits"]]
        assert found == pytest.approx(sorted(cosines.values(), reverse=True)[:8], abs=1e-5)
        by_id = search(web, id=RED_MUG, k=8)
        assert RED_MUG not in ids(by_id)
        assert body(by_id)["query"] == {"by": "id", "id": RED_MUG}

    def test_every_hit_passes_the_filters(self, web: FlaskClient) -> None:
        assert set(ids(search(web, id=RED_MUG, k=50, candidates=50, filters={"category": "flyers"}))) == {
            f"flyers/{colour}.png" for colour in COLOURS
        }
        chosen = {"category": ["mugs", "flyers"], "attributes": {"colour": ["blue", "gold"]}}
        assert len(ids(search(web, id=RED_MUG, k=50, filters=chosen))) == 4
        for name, value in (("price", 1.5), ("new", False)):
            assert len(ids(search(web, id=RED_MUG, k=50, filters={"attributes": {name: value}}))) == 6
        assert ids(search(web, id=RED_MUG, filters={"category": "hats"})) == []

    def test_a_result_that_the_filters_leave_empty_has_a_note(self, web: FlaskClient) -> None:
        for filters in ({"category": "hats"}, {"attributes": {"colour": "tartan"}}):
            answer = body(search(web, id=RED_MUG, filters=filters))
            assert (answer["hits"], answer["note"]) == ([], "no image passes the filters")
        assert "note" not in body(search(web, id=RED_MUG, filters={"category": "mugs"}))
        assert "note" not in body(search(web, id=RED_MUG, filters={"category": "mugs"}, min_cosine=1))
        page = web.get(f"/?id={RED_MUG}&category=hats").text
        assert "No picture passes the filters in the category “hats”." in page

    @pytest.mark.parametrize("path", ["/api/search", "/api/explain/mugs/blue.png"])
    def test_an_unknown_attribute_is_refused_with_the_known_ones(self, web: FlaskClient, shop: Shop, path: str) -> None:
        filters = {"attributes": {"color": "red"}}
        form = {"image": (io.BytesIO(shop.picture(RED_MUG)), "query.png"), "filters": json.dumps(filters)}
        for answer in (web.post(path, json={"id": RED_MUG, "filters": filters}), web.post(path, data=form)):
            said = "a filter must name an attribute of the images, got 'color'; known: colour, new, price"
            assert answer.status_code == 422
            assert body(answer)["error"] == {"code": "search_error", "message": said}

    def test_min_cosine_strategy_and_explain_are_respected(self, web: FlaskClient, shop: Shop) -> None:
        cosines = [hit["cosine"] for hit in body(search(web, id=RED_MUG, k=50))["hits"]]
        between = (cosines[1] + cosines[2]) / 2
        hits = body(search(web, id=RED_MUG, k=50, min_cosine=between))["hits"]
        assert [hit["cosine"] for hit in hits] == cosines[:2]
        explanation = body(search(web, id=RED_MUG, strategy="sub_codes", probes=50))["hits"]
        assert explanation and all(hit["sub_codes"] and hit["hamming_rank"] for hit in explanation)
        plain = body(search(web, id=RED_MUG, strategy="sub_codes", probes=50, explain=False))["hits"]
        assert plain == [{**hit, "hamming": None, "hamming_rank": None, "sub_codes": []} for hit in explanation]

    def test_compared_and_the_graph_are_respected(
        self, shop: Shop, options: Settings, client: Elasticsearch, fresh_name: str
    ) -> None:
        vectors = np.stack(list(shop.vectors.values()))
        encoder = toy_encoder(vectors, sub_codes="cells", cells=8)
        encoder.spec = shop.searcher.encoder.spec
        index = filled(client, fresh_name, encoder, vectors)
        cells = encoder.encode(vectors).sub_codes[:, 0]
        web = create_app({"shop": Searcher(encoder, index)}, options).test_client()
        near = search(web, id="0000", strategy="sub_codes", compared=1, k=50)
        assert set(ids(near)) == {f"{row:04}" for row in np.flatnonzero(cells == cells[0])} - {"0000"}
        every = search(web, id="0000", strategy="sub_codes", compared=10**30, k=50)
        assert len(ids(every)) == len(vectors) - 1
        web = create_app({"shop": Searcher(encoder, add_graph(index))}, options).test_client()
        assert ids(search(web, id="0000", k=50)) == ids(search(web, id="0000", strategy="scan", k=50)) == ids(every)

    def test_a_crop_is_searched_like_the_part_alone(self, web: FlaskClient, shop: Shop) -> None:
        image = shop.picture(RED_MUG)
        out = io.BytesIO()
        Image.fromarray(crop(decode(image), (0, 0, 48, 72))).save(out, "PNG")
        alone = search_image(web, out.getvalue())
        for box in ("[0, 0, 48, 72]", "[0, 0.0, 0.5, 1]"):
            part = search_image(web, image, crop=box)
            assert body(part)["query"] == {"by": "image", "width": 48, "height": 72}
            assert body(part)["hits"] == body(alone)["hits"]

    def test_radius_finds_every_image_within_it(self, web: FlaskClient, shop: Shop) -> None:
        encoder = shop.searcher.encoder
        codes = encoder.encode(np.stack(list(shop.vectors.values()))).codes
        query = encoder.encode(shop.vectors[RED_MUG][np.newaxis]).codes
        distances = hamming(query, codes)[0]
        radius = int(np.median(distances))
        near = {image_id for image_id, far in zip(shop.vectors, distances, strict=True) if far <= radius}
        assert set(ids(search_image(web, shop.picture(RED_MUG), radius=str(radius)))) == near
        assert set(ids(search(web, id=RED_MUG, radius=radius))) == near - {RED_MUG}

    def test_a_form_holds_options_as_json(self, web: FlaskClient, shop: Shop) -> None:
        filters = json.dumps({"category": "mugs", "attributes": {"colour": "black"}})
        answer = search_image(web, shop.picture(RED_MUG), k="1", strategy="scan", explain="false", filters=filters)
        assert ids(answer) == ["mugs/black.png"]


class TestExplain:
    def test_a_search_by_id_image_or_vector_is_explained(self, web: FlaskClient, shop: Shop) -> None:
        for hit in body(search(web, id=RED_MUG, k=50))["hits"]:
            explanation = body(web.post(f"/api/explain/{quote(hit['id'])}", json={"id": RED_MUG, "k": 50}))
            assert (explanation["id"], explanation["found"], explanation["hamming"]) == (
                hit["id"],
                True,
                hit["hamming"],
            )
            assert explanation["hamming_rank"] == hit["hamming_rank"]
            assert explanation["cosine"] == pytest.approx(hit["cosine"], abs=1e-6)
        form = {"image": (io.BytesIO(shop.picture(RED_MUG)), "query.png"), "k": "1", "filters": '{"category": "mugs"}'}
        explanation = body(web.post("/api/explain/flyers/gold.png", data=form))
        assert (explanation["found"], explanation["filtered_by"]) == (False, ["category"])
        assert explanation["why"] == "not found: excluded by the filter on category"
        vector = [float(value) for value in shop.vectors[RED_MUG]]
        explanation = body(web.post(f"/api/explain/{RED_MUG}", json={"vector": vector, "strategy": "sub_codes"}))
        assert (explanation["found"], explanation["cosine_rank"], explanation["hamming"]) == (True, 1, 0)
        assert set(explanation["shared"]) == set(explanation["sub_codes"])

    @pytest.mark.parametrize(
        ("image_id", "sent", "status"),
        [
            ("nobody", {"id": RED_MUG}, 404),
            (RED_MUG, {"id": "nobody"}, 404),
            (RED_MUG, {"id": RED_MUG, "radius": 3}, 400),
            (RED_MUG, {}, 400),
            (RED_MUG, {"id": RED_MUG, "k": 0}, 422),
        ],
    )
    def test_requests_that_cannot_be_explained_are_refused(
        self, web: FlaskClient, image_id: str, sent: dict[str, Any], status: int
    ) -> None:
        answer = web.post(f"/api/explain/{image_id}", json=sent)
        assert (answer.status_code, answer.mimetype) == (status, "application/json")

    def test_only_a_post_from_this_site_is_explained(self, web: FlaskClient) -> None:
        assert web.get(f"/api/explain/{RED_MUG}").status_code == 405
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert web.post(f"/api/explain/{RED_MUG}", json={"id": RED_MUG}, headers=foreign).status_code == 403


REFUSED = [
    ("[]", 400, "object"),
    ("{", 400, "JSON"),
    ('{"id": "a", "id": "b"}', 400, "once"),
    ("[" * 100_000, 400, "JSON"),
    ('{"k": %s}' % ("[" * 500 + "]" * 500), 400, "k"),
    ('{"id": "\\ud800"}', 400, "id"),
    ("{}", 400, "exactly one"),
    ('{"k": 3}', 400, "exactly one"),
    ('{"id": "a", "vector": [1]}', 400, "id and vector"),
    ('{"id": 7}', 400, "id"),
    ('{"id": ""}', 400, "id"),
    ('{"image": "aGk="}', 400, 'image must be a file, sent as multipart/form-data, got "aGk="'),
    ('{"id": null}', 400, "id"),
    ('{"id": "a", "K": 3}', 400, '"K"'),
    ('{"id": "a", "k": true}', 400, "k"),
    ('{"id": "a", "k": 3.0}', 400, "k"),
    ('{"id": "a", "k": "3"}', 400, "k"),
    ('{"id": "a", "compared": 0.5}', 400, "compared"),
    ('{"id": "a", "explain": 1}', 400, "explain"),
    ('{"id": "a", "min_cosine": "0.5"}', 400, "min_cosine"),
    ('{"id": "a", "min_cosine": NaN}', 400, "NaN"),
    ('{"id": "a", "crop": [0, 0, 1, 1]}', 400, "crop"),
    ('{"id": "a", "radius": 3, "k": 3}', 400, "radius"),
    ('{"id": "a", "radius": 3, "compared": 3}', 400, "compared"),
    ('{"id": "a", "filters": {"colour": "red"}}', 400, "colour"),
    ('{"id": "a", "filters": {"category": []}}', 400, "category"),
    ('{"id": "a", "filters": {"attributes": {"": "x"}}}', 400, "attribute"),
    ('{"id": "a", "filters": {"attributes": {"x": {}}}}', 400, "x"),
    ('{"vector": "1,2"}', 400, "vector"),
    ('{"vector": [1, true]}', 400, "vector"),
    ('{"vector": [1, NaN]}', 400, "NaN"),
    ('{"vector": [1e999%s]}' % (", 0" * 767), 422, "finite"),
    ('{"vector": [1%s]}' % ("0" * 400), 422, "finite"),
    ('{"vector": []}', 422, "shape"),
    ('{"vector": [1, 2]}', 422, "shape"),
    (json.dumps({"vector": [0] * 768}), 422, "zero"),
    ('{"id": "mugs/red.png", "k": 0}', 422, "k must be"),
    ('{"id": "mugs/red.png", "k": 1%s}' % ("0" * 400), 422, "k must be"),
    ('{"id": "mugs/red.png", "candidates": 10001}', 422, "candidates"),
    ('{"id": "mugs/red.png", "strategy": "graph"}', 422, "graph"),
    ('{"id": "mugs/red.png", "strategy": "guess"}', 422, "guess"),
    ('{"id": "mugs/red.png", "strategy": "sub_codes", "probes": 0}', 422, "probes"),
    ('{"id": "mugs/red.png", "strategy": "sub_codes", "compared": 50}', 422, "compared goes with cells"),
    ('{"id": "mugs/red.png", "compared": 0}', 422, "compared"),
    ('{"id": "mugs/red.png", "compared": -1%s}' % ("0" * 400), 422, "compared"),
    ('{"id": "mugs/red.png", "min_cosine": 1.01}', 422, "min_cosine"),
    ('{"id": "mugs/red.png", "radius": -1}', 422, "radius"),
    ('{"id": "mugs/red.png", "radius": 65}', 422, "radius"),
    (json.dumps({"id": "a", "filters": {"category": ["x"] * 1001}}), 422, "1000"),
    (json.dumps({"id": "mugs/red.png", "filters": {"category": "é" * 16_384}}), 422, "at most 32766 bytes"),
    (json.dumps({"id": "mugs/red.png", "filters": {"attributes": {"colour": ["a" * 40_000]}}}), 422, "got 40000"),
    ('{"id": "nobody"}', 404, "nobody"),
    (json.dumps({"id": "x" * 40_000}), 404, "x"),
]


NAMES = st.sampled_from(
    "id vector k candidates strategy compared probes min_cosine explain filters crop radius category attributes".split()
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([RED_MUG, "scan"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(), inner, max_size=4)
)


class TestRefusals:
    @pytest.mark.parametrize(("sent", "status", "word"), REFUSED, ids=[sent[:60] for sent, _, _ in REFUSED])
    def test_json_requests_that_break_a_rule_are_refused(
        self, web: FlaskClient, sent: str, status: int, word: str
    ) -> None:
        answer = web.post("/api/search", data=sent, content_type="application/json")
        assert (answer.status_code, answer.mimetype) == (status, "application/json")
        assert word in body(answer)["error"]["message"]
        assert body(answer)["error"]["code"].islower()

    @pytest.mark.parametrize(
        "content",
        [
            '{"vector": [%s0]}' % ("0," * 9_000_000),
            '{"vector": [%s0]}' % ("{}," * 6_000_000),
            '{"id": "a", "filters": {"category": [%s""]}}' % ('"",' * 6_000_000),
            '{"id": "%s"}' % ("a" * 19_000_000),
        ],
        ids=["numbers", "objects", "filters", "text"],
    )
    def test_long_json_is_refused_before_it_is_parsed(self, shop: Shop, content: str) -> None:
        roomy = create_app({"shop": shop.searcher}, Settings(home=shop.secret)).test_client()
        started = time.monotonic()
        answer = roomy.post("/api/search", data=content, content_type="application/json")
        assert time.monotonic() - started < 0.5
        assert (answer.status_code, body(answer)["error"]["code"]) == (413, "request_entity_too_large")
        assert "the body may have at most 1000000 bytes as JSON, got 1" in body(answer)["error"]["message"]

    def test_a_vector_of_the_most_dimensions_is_checked_by_its_length(self, shop: Shop) -> None:
        roomy = create_app({"shop": shop.searcher}, Settings(home=shop.secret)).test_client()
        answer = search(roomy, vector=np.random.default_rng(0).random(8192).tolist())
        assert (answer.status_code, body(answer)["error"]["code"]) == (422, "hashing_error")

    @pytest.mark.parametrize(
        ("data", "status", "code"),
        [
            (b"", 400, "empty_image"),
            (b"<svg onload='alert(1)'/>", 415, "not_an_image"),
            (png(50, 50)[:-60], 422, "truncated_image"),
            (png(1, MAX_PIXELS + 1), 413, "too_many_pixels"),
            (bad_images.repeated_scans(99, 200), 422, "image_too_costly"),
            (png(9, 9) + bytes(MAX_BYTES), 413, "image_too_large"),
            (png(9, 9) + bytes(2 * MAX_BYTES), 413, "request_entity_too_large"),
        ],
    )
    def test_unusable_images_are_refused(self, web: FlaskClient, data: bytes, status: int, code: str) -> None:
        answer = search_image(web, data)
        assert (answer.status_code, body(answer)["error"]["code"]) == (status, code)

    @pytest.mark.parametrize(
        ("fields", "status", "word"),
        [
            ({"crop": "[0, 0, 97, 72]"}, 422, "crop"),
            ({"crop": "[0, 0, 1, 1]"}, 422, "at least 8 a side"),
            ({"crop": "[90, 0, 96, 72]"}, 422, "fractions"),
            ({"crop": "[0, 0, 0.5]"}, 422, "crop"),
            ({"crop": '{"left": 0}'}, 400, "crop"),
            ({"crop": "0,0,1,1"}, 400, 'crop must be a list of numbers, got "0,0,1,1"'),
            ({"crop": "[0,0,1"}, 400, '"crop" must be JSON'),
            ({"k": ""}, 400, 'k must be a whole number, got ""'),
            ({"k": "two"}, 400, 'k must be a whole number, got "two"'),
            ({"k": '"2"'}, 400, 'k must be a whole number, got "2"'),
            ({"min_cosine": "NaN"}, 400, 'min_cosine must be a number, got "NaN"'),
            ({"explain": "yes"}, 400, 'explain must be true or false, got "yes"'),
            ({"filters": "mugs"}, 400, 'filters must be a JSON object, got "mugs"'),
            ({"filters": '{"category": "a", "category": "b"}'}, 400, "once"),
            ({"size": "3"}, 400, '"size"'),
            ({"size": "large"}, 400, '"size", known: image, id, vector, k,'),
            ({"id": RED_MUG}, 400, "id"),
            ({"k": ["1", "2"]}, 400, "once"),
        ],
    )
    def test_form_fields_that_break_a_rule_are_refused(
        self, web: FlaskClient, shop: Shop, fields: Any, status: int, word: str
    ) -> None:
        answer = search_image(web, shop.picture(RED_MUG), **fields)
        assert answer.status_code == status
        assert word in body(answer)["error"]["message"]

    def test_forms_without_exactly_one_image_are_refused(self, web: FlaskClient, shop: Shop) -> None:
        def file() -> tuple[io.BytesIO, str]:
            return io.BytesIO(shop.picture(RED_MUG)), "a.png"

        for form in ({"k": "3"}, {"image": "text"}, {"picture": file()}, {"image": [file(), file()]}):
            answer = web.post("/api/search", data=form, content_type="multipart/form-data")
            assert answer.status_code == 400, form
        broken = web.post("/api/search", data=b"--x\r\nnonsense", content_type="multipart/form-data; boundary=x")
        assert broken.status_code == 400

    def test_other_content_types_methods_and_paths_are_refused(self, web: FlaskClient) -> None:
        for kind in ("text/plain", "image/png", "application/x-www-form-urlencoded", None):
            answer = web.post("/api/search", data=b"{}", content_type=kind)
            assert (answer.status_code, body(answer)["error"]["code"]) == (415, "unsupported_media_type")
        wrong = web.get("/api/search")
        assert (wrong.status_code, body(wrong)["error"]["code"]) == (405, "method_not_allowed")
        assert "POST" in wrong.headers["Allow"]
        for path in ("/api", "/api/", "/api/nothing"):
            assert body(web.get(path))["error"]["code"] == "not_found"
        page = web.get("/nothing")
        assert (page.status_code, page.mimetype) == (404, "text/html")

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(fields=st.dictionaries(NAMES, VALUES), query=st.sampled_from([{}, {"id": RED_MUG}]))
    def test_no_json_breaks_the_api(self, web: FlaskClient, fields: dict[str, Any], query: dict[str, Any]) -> None:
        answer = web.post("/api/search", data=json.dumps(fields | query), content_type="application/json")
        assert answer.status_code in (200, 400, 404, 422), (fields, answer.text)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        category=st.text(min_size=1),
        attributes=st.dictionaries(st.text(min_size=1), st.text(min_size=1) | st.integers() | st.booleans()),
    )
    def test_no_filter_breaks_the_api(self, web: FlaskClient, category: str, attributes: dict[str, Any]) -> None:
        answer = search(web, id=RED_MUG, filters={"category": category, "attributes": attributes})
        unknown = [name for name in attributes if name not in ("colour", "new", "price")]
        expected = (400, 422) if any(len(name) < 100 for name in unknown) else (200, 400)
        assert answer.status_code in expected, (category, attributes, answer.text)

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(image_id=st.text(min_size=1))
    def test_no_id_breaks_the_api(self, web: FlaskClient, image_id: str) -> None:
        assert search(web, id=image_id).status_code in (200, 400, 404)
        for place in ("/api/images/", "/images/", "/?id="):
            path = quote(image_id.encode("utf-8", "replace"), safe="/")
            assert web.get(f"{place}{path}").status_code in (200, 302, 308, 404), place


class TestElasticsearchAway:
    def test_without_elasticsearch_every_response_is_503_and_names_no_host(
        self, lonely: FlaskClient, shop: Shop
    ) -> None:
        answers = [search(lonely, id=RED_MUG), search_image(lonely, shop.picture(RED_MUG)), lonely.get("/healthz")]
        for answer in answers:
            assert (answer.status_code, body(answer)["error"]["code"]) == (503, "store_unavailable")
            message = "the search index is not available right now; try again in a moment"
            assert body(answer)["error"]["message"] == message
            assert int(answer.headers["Retry-After"]) > 0
        for answer in (lonely.get("/"), lonely.get(f"/?id={RED_MUG}"), lonely.get(f"/images/{RED_MUG}")):
            assert (answer.status_code, answer.mimetype) == (503, "text/html")
            assert "not available right now" in answer.text and "127.0.0.1" not in answer.text

    def test_health_describes_the_models(self, web: FlaskClient, shop: Shop) -> None:
        assert body(web.get("/healthz")) == {
            "status": "ok",
            "index": shop.searcher.index.alias,
            "count": len(shop.vectors),
            "encoder": shop.searcher.encoder.fingerprint,
            "counts": {"shop": len(shop.vectors)},
        }

    def test_a_missing_index_is_503_and_not_named(self, shop: Shop, options: Settings) -> None:
        gone = Searcher(shop.searcher.encoder, replace(shop.searcher.index, alias="hashsearch-never-made"))
        answer = search(create_app({"shop": gone}, options).test_client(), id=RED_MUG)
        assert (answer.status_code, body(answer)["error"]["code"]) == (503, "index_not_found")
        assert "hashsearch-never-made" not in answer.text


class TestFailures:
    @pytest.mark.parametrize(
        ("kind", "status", "code"),
        [
            (StoreUnavailable, 503, "store_unavailable"),
            (IndexNotFound, 503, "index_not_found"),
            (StoreError, 502, "store_error"),
            (ConfigError, 500, "config_error"),
            (WeightsNotFound, 500, "weights_not_found"),
            (RuntimeError, 500, "internal_server_error"),
        ],
    )
    def test_a_response_never_names_what_is_behind_the_server(
        self, kind: type[Exception], status: int, code: str
    ) -> None:
        response = ErrorResponse.of(kind("http://10.0.0.5:9200 refused, see /srv/secret"), 1)
        assert (response.status, response.code) == (status, code)
        assert "10.0.0.5" not in response.message and "/srv" not in response.message

    def test_no_response_tells_the_path_of_a_file(self, web: FlaskClient, shop: Shop) -> None:
        answers = [search(web, id=RED_MUG, k=48), search_image(web, shop.picture(RED_MUG), k="48")]
        answers += [web.get(f"/api/images/{RED_MUG}"), web.get(f"/?id={RED_MUG}&k=48")]
        for answer in answers:
            assert answer.status_code == 200 and str(shop.folder.parent) not in answer.text
        assert {hit["uri"] for hit in body(answers[0])["hits"]} == {None, ADDRESS}

    def test_a_response_names_the_rule_that_a_request_breaks(self) -> None:
        assert ErrorResponse.of(SearchError("k must be 1 to 10000, got 0"), 1).message == "k must be 1 to 10000, got 0"

    def test_the_size_of_a_request_is_given_in_megabytes(self) -> None:
        response = ErrorResponse.of(RequestEntityTooLarge(), 20_000_000)
        assert (response.status, response.message) == (413, "a request may have at most 20 MB and 20 parts")

    def test_every_error_has_a_status(self) -> None:
        def with_subclasses(kind: type[HashsearchError]) -> Iterator[type[HashsearchError]]:
            yield kind
            for subclass in kind.__subclasses__():
                yield from with_subclasses(subclass)

        for kind in with_subclasses(HashsearchError):
            arguments = ("photos", "a", "b") if kind is EncoderMismatch else ("", None, None)
            error = kind(*arguments[: 3 if "Mismatch" in kind.__name__ else 1])
            assert 400 <= ErrorResponse.of(error, 1).status <= 503

    def test_the_log_has_the_reason(self, lonely: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
        lonely.get("/healthz")
        assert "GET /healthz: Elasticsearch does not answer" in caplog.text


class TestCostlyImages:
    @pytest.fixture
    def hasty(self, shop: Shop) -> FlaskClient:
        """The application with the usual limits, but less time."""
        options = Settings(home=shop.secret, image_roots=(shop.folder,), max_seconds=0.5)
        return create_app({"shop": shop.searcher}, options).test_client()

    def test_images_that_would_take_a_decoder_minutes_are_refused_and_others_answered(
        self, hasty: FlaskClient, shop: Shop
    ) -> None:
        """As many at once as are decoded at once, on the endpoint, the page and as pictures of the index."""
        endless, path = bad_images.repeated_scans(bad_images.SIDE, 90), shop.folder / RED_MUG
        before = path.read_bytes()
        path.write_bytes(endless)

        def outcome(kind: str) -> int:
            with hasty.application.test_client() as client:
                if kind == "page":
                    return client.post("/", data={"image": (io.BytesIO(endless), "a.jpg")}).status_code
                if kind == "picture":
                    return client.get(f"/images/{RED_MUG}").status_code
                return search_image(client, endless if kind == "endless" else before).status_code

        kinds = ["endless", "page", "picture", "plain"] * 3
        with ThreadPoolExecutor(6) as threads:
            statuses = list(threads.map(outcome, kinds))
        path.write_bytes(before)
        assert statuses == [422, 422, 404, 200] * 3

    def test_a_picture_of_50_million_pixels_is_searched_with(self, shop: Shop) -> None:
        usual = Settings(home=shop.secret, image_roots=(shop.folder,))
        roomy = create_app({"shop": shop.searcher}, usual).test_client()
        large = bad_images.encode(Image.new("RGB", (8000, 6200), "teal"), "PNG")
        assert body(search_image(roomy, large))["query"] == {"by": "image", "width": 8000, "height": 6200}
        part = body(search_image(roomy, large, crop="[0.5, 0, 1, 0.5]"))["query"]
        assert (part["width"], part["height"]) == (4000, 3100)
        page = roomy.post("/", data={"image": (io.BytesIO(large), "large.png")})
        (shown,) = re.findall(r"data:image/jpeg;base64,([^\"]+)", page.text)
        assert decode(base64.b64decode(shown)).shape == (372, 480, 3)


class TestPictures:
    def test_records_are_found_by_any_id(self, web: FlaskClient, shop: Shop) -> None:
        for image_id in shop.vectors:
            answer = web.get(f"/api/images/{quote(image_id)}")
            assert (answer.status_code, body(answer)["id"]) == (200, image_id)
        assert body(web.get("/api/images/remote"))["uri"] == ADDRESS
        record = body(web.get(f"/api/images/{RED_MUG}"))
        assert record["title"] == "red mugs"
        assert record["attributes"] == {"colour": "red", "price": 5, "new": True}
        assert web.get("/api/images/nobody").status_code == 404

    @pytest.mark.parametrize("image_id", [RED_MUG, "a//b/%2e%2e/c?d#é", "/leading"])
    def test_a_picture_is_decoded_and_encoded_again(self, web: FlaskClient, shop: Shop, image_id: str) -> None:
        answer = web.get(f"/images/{quote(image_id)}")
        assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
        assert answer.data[:3] == b"\xff\xd8\xff"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        shown, original = decode(answer.data).astype(int), decode(shop.picture(RED_MUG)).astype(int)
        assert shown.shape == original.shape
        assert np.abs(shown - original).mean() < 4

    def test_a_browser_gets_the_picture_of_every_card(self, web: FlaskClient, shop: Shop) -> None:
        """It resolves `.` and `..` in a path, also as `%2e`, but not in a parameter."""
        page = web.get(f"/?id={RED_MUG}&k=48").text
        addresses = [html.unescape(found) for found in re.findall(r'src="(/images[^"]+)"', page)]
        shown = set()
        for address in addresses:
            path, mark, parameters = urljoin("http://localhost/", address).partition("?")
            assert not re.search(r"(?i)/(\.|%2e)+(/|$)", path)
            assert (web.get(address).mimetype == "image/jpeg") != (address == "/images/damaged"), address
            shown.add(parse_qs(parameters)["id"][0] if mark else unquote(path.removeprefix("http://localhost/images/")))
        oddities = {"a//b/%2e%2e/c?d#é", "/leading", "<b>bold</b>", "a/../b", "..", "damaged"}
        assert shown == oddities | {image_id for image_id in shop.vectors if image_id.endswith(".png")}

    @pytest.mark.parametrize("image_id", [RED_MUG, "a/../b", "..", "/leading", "a//b/%2e%2e/c?d#é"])
    def test_any_id_may_be_a_parameter(self, web: FlaskClient, image_id: str) -> None:
        parameter = f"?id={quote(image_id, safe='')}"
        assert web.get(f"/images{parameter}").mimetype == "image/jpeg"
        assert body(web.get(f"/api/images{parameter}"))["id"] == image_id
        assert body(web.post(f"/api/explain{parameter}", json={"id": "mugs/blue.png"}))["id"] == image_id

    def test_a_category_of_the_page_that_is_too_long_is_refused(self, web: FlaskClient, shop: Shop) -> None:
        form = {"image": (io.BytesIO(shop.picture(RED_MUG)), "a.png"), "category": "a" * 40_000}
        assert web.post("/", data=form).status_code == 422
        assert web.get(f"/?category={'a' * 40_000}").status_code == 422

    @pytest.mark.parametrize("path", ["/images", "/images?id=", "/api/images", "/api/images?name=x"])
    def test_an_address_without_an_id_is_refused(self, web: FlaskClient, path: str) -> None:
        assert web.get(path).status_code == 400

    def test_a_large_picture_is_reduced(self, shop: Shop, options: Settings, tmp_path: Path) -> None:
        web = create_app({"shop": shop.searcher}, replace(options, home=tmp_path)).test_client()
        path, before = shop.folder / RED_MUG, shop.picture(RED_MUG)
        path.write_bytes(png(300, 330))
        assert decode(web.get(f"/images/{RED_MUG}").data).shape == (330, 300, 3)
        path.write_bytes(png(50, 1000))
        assert decode(web.get(f"/images/{RED_MUG}").data).shape == (480, 24, 3)
        path.write_bytes(before)

    def test_an_unchanged_picture_is_not_sent_again(self, web: FlaskClient) -> None:
        first = web.get(f"/images/{RED_MUG}")
        again = web.get(f"/images/{RED_MUG}", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        assert "max-age" in first.headers["Cache-Control"]
        assert first.headers["ETag"] != web.get("/images/mugs/blue.png").headers["ETag"]

    @pytest.mark.parametrize(
        ("image_ids", "words"),
        [
            ("outside climbing linked relative remote", "the file is not inside a folder given with --images"),
            ("gone folder", "the file is no longer there"),
            ("damaged", "the file cannot be read"),
            ("nobody mugs/../outside", "no image with id"),
        ],
    )
    def test_a_picture_that_cannot_be_shown_is_404_with_the_reason_and_no_path(
        self, web: FlaskClient, shop: Shop, image_ids: str, words: str
    ) -> None:
        for image_id in image_ids.split():
            answer = web.get(f"/images/{image_id}")
            assert (answer.status_code, words in answer.text) == (404, True), image_id
            assert str(shop.folder.parent) not in answer.text

    @pytest.mark.parametrize("path", ["..", "%2e%2e", "%252e%252e", "%2fetc%2fpasswd", "mugs%2f..%2f..%2fsecret"])
    def test_a_path_in_an_id_leads_to_no_file(self, web: FlaskClient, path: str) -> None:
        assert web.get(f"/images/{path}/plan.png").status_code == 404
        assert web.get(f"/static/{path}/__init__.py").status_code == 404


class TestSecurity:
    def test_every_response_has_the_security_headers(self, web: FlaskClient) -> None:
        for path in ("/", "/?id=nobody", "/healthz", "/api/search", "/static/page.js", f"/images/{RED_MUG}", "/none"):
            headers = web.get(path, buffered=True).headers
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy, path
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["X-Frame-Options"] == "DENY"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert not any(name.startswith("Access-Control") for name in dict(headers))

    @pytest.mark.parametrize("host", ["localhost", "localhost:5800", "127.0.0.1:5800", "[::1]:5800", "LOCALHOST"])
    def test_loopback_host_names_are_accepted(self, web: FlaskClient, host: str) -> None:
        assert web.get("/healthz", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:5800", "localhost.evil.example", "127.0.0.1.x", ""])
    def test_other_host_names_are_refused_on_loopback(self, web: FlaskClient, host: str) -> None:
        answer = web.get("/healthz", headers={"Host": host})
        assert (answer.status_code, body(answer)["error"]["code"]) == (400, "bad_request")

    def test_any_host_name_is_accepted_beyond_loopback(self, shop: Shop, options: Settings) -> None:
        open_to_all = create_app({"shop": shop.searcher}, replace(options, host="0.0.0.0")).test_client()
        assert open_to_all.get("/healthz", headers={"Host": "search.example"}).status_code == 200

    def test_pages_of_other_sites_cannot_search(self, web: FlaskClient) -> None:
        for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
            answer = web.post("/api/search", json={"id": RED_MUG}, headers={"Sec-Fetch-Site": site})
            assert answer.status_code == status, site


def classes(count: int) -> tuple[str, ...]:
    return tuple(f"class {number}" for number in range(count))


class TestModels:
    @pytest.fixture
    def two(self, shop: Shop, options: Settings, client: Elasticsearch) -> Iterator[FlaskClient]:
        """The shop, and its flyers alone with codes of 32 bits."""
        rows = [image_id for image_id in shop.vectors if image_id.startswith("flyers/")]
        vectors = np.stack([shop.vectors[image_id] for image_id in rows])
        encoder = toy_encoder(np.stack(list(shop.vectors.values())), bits=32)
        encoder.spec = replace(shop.searcher.encoder.spec, classes=classes(encoder.dims))
        texts = [{"uri": str(shop.folder / image_id), "title": image_id, "category": "flyers"} for image_id in rows]
        with fresh_index_name(client) as name:
            flyers = Searcher(encoder, filled(client, name, encoder, vectors, texts))
            yield create_app({"all": shop.searcher, "flyers": flyers}, options).test_client()

    def test_the_first_model_is_the_default(self, two: FlaskClient, web: FlaskClient) -> None:
        default, first = search(two, id=RED_MUG), search(two, id=RED_MUG, model="all")
        assert ids(default) == ids(first) == ids(search(web, id=RED_MUG))
        assert body(default)["model"] == body(first)["model"] == "all"
        assert body(search(web, id=RED_MUG))["model"] == "shop"

    def test_each_model_searches_its_own_index_with_its_own_encoder(self, two: FlaskClient, shop: Shop) -> None:
        gold = [image_id for image_id in shop.vectors if image_id.startswith("flyers/")].index("flyers/gold.png")
        answer = search_image(two, shop.picture("flyers/gold.png"), k="50", model="flyers")
        assert ids(answer)[0] == f"{gold:04}"
        assert (len(ids(answer)), body(answer)["model"]) == (6, "flyers")
        assert len(ids(search(two, vector=shop.vectors[RED_MUG].tolist(), k=50, model="flyers"))) == 6
        explanation = two.post(
            f"/api/explain/{gold:04}", json={"vector": shop.vectors[RED_MUG].tolist(), "model": "flyers"}
        )
        assert body(explanation)["bits"] == 32

    def test_records_and_pictures_belong_to_a_model(self, two: FlaskClient) -> None:
        assert body(two.get("/api/images/0000?model=flyers"))["category"] == "flyers"
        assert two.get("/api/images/0000").status_code == 404
        assert two.get("/images/0000?model=flyers").mimetype == "image/jpeg"
        assert two.get("/images/0000").status_code == 404

    def test_an_unknown_model_is_refused_with_the_known_names(self, two: FlaskClient, shop: Shop) -> None:
        for answer in (
            search(two, id=RED_MUG, model="mugs"),
            search_image(two, shop.picture(RED_MUG), model="mugs"),
            two.get(f"/api/images/{RED_MUG}?model=mugs"),
        ):
            assert answer.status_code == 422
            assert body(answer)["error"]["message"] == "model must be one of all, flyers, got 'mugs'"
        assert search(two, id=RED_MUG, model=1).status_code == 400

    def test_models_are_listed(self, two: FlaskClient, shop: Shop) -> None:
        first, second = body(two.get("/api/models"))["models"]
        assert first == {
            "name": "all",
            "index": shop.searcher.index.alias,
            "count": len(shop.vectors),
            "encoder": shop.searcher.encoder.fingerprint,
            "embedder": "bit-tiny",
            "dims": shop.searcher.encoder.dims,
            "bits": 64,
            "classes": [],
        }
        assert (second["name"], second["count"], second["bits"]) == ("flyers", 6, 32)
        assert second["classes"] == list(classes(second["dims"]))
        assert body(two.get("/healthz"))["counts"] == {"all": len(shop.vectors), "flyers": 6}

    def test_a_classifier_reports_the_likeliest_classes(self, two: FlaskClient, shop: Shop) -> None:
        query = body(search_image(two, shop.picture(RED_MUG), model="flyers"))["query"]
        shares = shop.vectors[RED_MUG] / shop.vectors[RED_MUG].sum()
        best = [classes(len(shares))[place] for place in np.argsort(-shares)[:5]]
        assert [likely["class"] for likely in query["classes"]] == best
        assert query["classes"][0]["confidence"] == pytest.approx(shares.max(), rel=1e-3)
        assert "classes" not in body(search_image(two, shop.picture(RED_MUG)))["query"]

    def test_the_page_offers_the_models_and_keeps_the_choice(
        self, two: FlaskClient, web: FlaskClient, shop: Shop
    ) -> None:
        assert "Model" not in web.get("/").text
        assert "<option selected>all</option><option>flyers</option>" in two.get("/").text
        assert "model=" not in two.get(f"/?id={RED_MUG}").text
        page = two.get("/?model=flyers&k=12").text
        assert "<option selected>flyers</option>" in page
        assert "<strong>6</strong> images" in page
        assert "?id=0000&amp;model=flyers&amp;k=12" in page
        assert 'src="/images/0000?model=flyers"' in page
        found = two.post("/", data={"image": (io.BytesIO(shop.picture(RED_MUG)), "mug.png"), "model": "flyers"}).text
        assert found.count('class="card"') == 6
        assert "Looks like class " in found
        assert two.get("/?model=mugs").status_code == 422


class TestGate:
    def test_the_gate_lets_a_few_in_a_few_wait_and_refuses_the_rest(self) -> None:
        gate, release, inside, most = Gate(2, 3, "visits"), threading.Event(), [], []

        def visit() -> None:
            with gate.passing():
                inside.append(1)
                most.append(len(inside))
                release.wait(30)
                inside.pop()

        visitors = [threading.Thread(target=visit) for _ in range(5)]
        for visitor in visitors:
            visitor.start()
        while len(most) < 2:
            pass
        with pytest.raises(ServiceUnavailable) as refused, gate.passing():
            pass
        assert refused.value.retry_after == 1
        assert refused.value.description == "too many visits at once; try again in a moment"
        release.set()
        for visitor in visitors:
            visitor.join(30)
        assert (len(most), max(most)) == (5, 2)
        with gate.passing():
            pass


class TestServer:
    # Where the port is taken, waitress leaves its socket to the garbage collector.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_the_server_answers_over_http_and_a_port_in_use_is_refused(self, shop: Shop, options: Settings) -> None:
        app = create_app({"shop": shop.searcher}, options)
        served = server(app, "127.0.0.1", 0)
        thread = threading.Thread(target=served.run, daemon=True)
        thread.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{served.effective_port}/healthz", timeout=30) as answer:
            assert json.load(answer)["status"] == "ok"
        with pytest.raises(ConfigError, match=str(served.effective_port)):
            server(app, "127.0.0.1", served.effective_port)
        served.close()
        gc.collect()
        gc.collect()


class TestDocumentation:
    def test_the_api_page_documents_every_field(self, web: FlaskClient) -> None:
        text = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
        named = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
        known = body(search(web, nonsense=1))["error"]["message"].split("known: ")[1].split(", ")
        assert named == set(known)
