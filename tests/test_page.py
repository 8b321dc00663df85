"""The search page: as the server renders it, and in a real browser."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from flask import Flask
from flask.testing import FlaskClient
from support.browser import Browser, find_chromium
from support.faults import FaultProxy, answers
from support.indices import documents_of, filled, fresh_index_name
from support.shop import ADDRESS, Shop

from hashsearch.config import Settings
from hashsearch.elastic.client import connect
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.writing import BulkWriter
from hashsearch.reporting.style import TOKENS, page_style
from hashsearch.search.planner import SearchOptions
from hashsearch.search.searcher import Searcher
from hashsearch.web import create_app, server
from hashsearch.web.inventory import SECONDS
from hashsearch.web.pages import Card

RED_MUG = "mugs/red.png"


@pytest.fixture(scope="module")
def options(shop: Shop) -> Settings:
    return Settings(home=shop.secret, image_roots=(shop.folder,))


@pytest.fixture(scope="module")
def web(shop: Shop, options: Settings) -> FlaskClient:
    return create_app({"shop": shop.searcher}, options).test_client()


@pytest.fixture(scope="module")
def address(shop: Shop, options: Settings) -> Iterator[str]:
    """The address of a running server."""
    with serving(create_app({"shop": shop.searcher}, options)) as address:
        yield address


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Runs a server for the application; its address."""
    served = server(app, "127.0.0.1", 0)
    threading.Thread(target=served.run, daemon=True).start()
    yield f"http://127.0.0.1:{served.effective_port}"
    served.close()


def moved(searcher: Searcher, client: Elasticsearch) -> Searcher:
    """The same searcher with another client."""
    return Searcher(searcher.encoder, replace(searcher.index, client=client))


def choose(browser: Browser, name: str, value: str) -> None:
    """Choose in a select, as a person does."""
    select = f"document.querySelector('[name={name}]')"
    browser.ask(f"{select}.value = '{value}'")
    browser.ask(f"{select}.dispatchEvent(new Event('change', {{bubbles: true}}))")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip("no chromium is installed, so the page is not tried in a browser")
    with Browser(program, tmp_path) as opened:
        opened.look(1280, 800)
        yield opened


def test_colours_and_fonts_are_those_of_the_reports(web: FlaskClient) -> None:
    assert '<link rel="stylesheet" href="/static/tokens.css">' in web.get("/").text
    tokens = web.get("/static/tokens.css")
    assert tokens.mimetype == "text/css"
    assert tokens.text == TOKENS.read_text()
    assert tokens.text in page_style()
    tokens.close()


class TestPageWithoutScripts:
    def test_the_page_offers_examples_to_start_with(self, web: FlaskClient, shop: Shop) -> None:
        page = web.get("/")
        assert page.status_code == 200
        assert f"<strong>{len(shop.vectors)}</strong> images" in page.text
        assert page.text.count('class="card"') == 12
        assert '<option value="flyers">flyers (6)</option>' in page.text

    def test_the_examples_are_of_the_chosen_category(self, web: FlaskClient) -> None:
        page = web.get("/?category=mugs")
        assert page.text.count('class="card"') == page.text.count('<span class="category">mugs') == 6
        assert "&amp;category=mugs" in page.text

    def test_a_link_shows_images_similar_to_an_indexed_one(self, web: FlaskClient) -> None:
        page = web.get(f"/?id={RED_MUG}&k=12&category=mugs")
        assert page.text.count('class="card"') == 5
        assert "?id=mugs/blue.png&amp;k=12&amp;category=mugs" in page.text
        assert f'src="/images/{RED_MUG}"' in page.text
        assert "64 bits" in page.text

    def test_an_upload_shows_images_similar_to_it(self, web: FlaskClient, shop: Shop) -> None:
        form = {"image": (io.BytesIO(shop.picture(RED_MUG)), "my <mug>.png"), "k": "12", "category": ""}
        page = web.post("/", data=form)
        assert page.status_code == 200
        assert page.text.count('class="card"') == 12
        assert "data:image/jpeg;base64," in page.text
        assert "my &lt;mug&gt;.png" in page.text and "<mug>" not in page.text
        assert page.text.index("?id=mugs/red.png") < page.text.index("?id=mugs/blue.png")

    def test_a_form_without_an_image_leads_to_the_permalink(self, web: FlaskClient) -> None:
        empty = (io.BytesIO(b""), "")
        answer = web.post("/", data={"image": empty, "id": RED_MUG, "k": "24", "category": "mugs", "strategy": ""})
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/?id={RED_MUG}&category=mugs")
        assert web.post("/", data={}).headers["Location"] == "/"

    def test_the_strategy_is_automatic_unless_chosen(self, web: FlaskClient) -> None:
        page = web.get(f"/?id={RED_MUG}")
        offered = re.findall(r'<option value="(\w*)"( selected)?>\s*(?:Auto|All codes|Codes)', page.text)
        assert offered == [("", ""), ("scan", ""), ("sub_codes", "")]
        assert "strategy=" not in page.text
        chosen = web.get(f"/?id={RED_MUG}&strategy=scan")
        assert '<option value="scan" selected>' in chosen.text
        assert "&amp;strategy=scan" in chosen.text
        assert chosen.text.count('class="card"') == page.text.count('class="card"')

    def test_a_hit_without_a_distance_shows_none(self, shop: Shop, options: Settings) -> None:
        app = create_app({"shop": shop.searcher}, options)
        (hit_with_distance,) = shop.searcher.by_id(RED_MUG, SearchOptions(k=1))
        hit_without_distance = replace(hit_with_distance, hamming=None, hamming_rank=None)
        with app.app_context():
            parts: Any = app.jinja_env.get_template("parts.html").module
        for hit, bits in ((hit_with_distance, 1), (hit_without_distance, 0)):
            shown = parts.card_of(Card(hit.id, "cup", None, "/", None, hit=hit, rank=1), 64)
            assert f"{hit.cosine:.3f}" in shown
            assert (shown.count("64 bits"), shown.count("None")) == (bits, 0)

    def test_names_are_escaped(self, web: FlaskClient) -> None:
        page = web.get("/?id=<b>bold</b>")
        assert "oddity &lt;b&gt;bold" in page.text and "<b>bold" not in page.text

    def test_a_picture_at_an_address_is_left_to_the_browser(self, web: FlaskClient) -> None:
        page = web.get("/?id=remote&category=oddities&k=48")
        assert f'src="{ADDRESS}"' in page.text
        assert "--images" in page.text  # for those that lie outside
        assert page.text.count('class="blank"') == 6

    @pytest.mark.parametrize(
        ("path", "status", "words"),
        [
            ("/?id=nobody", 404, "no image with id"),
            (f"/?id={RED_MUG}&k=0", 400, "k must be a whole number from 1 to 96, got &#39;0&#39;"),
            (f"/?id={RED_MUG}&k=97", 400, "k must be a whole number from 1 to 96, got &#39;97&#39;"),
            (f"/?id={RED_MUG}&k=%C2%B2", 400, "k must be a whole number from 1 to 96, got &#39;²&#39;"),
            ("/?k=10000", 400, "k must be a whole number from 1 to 96, got &#39;10000&#39;"),
            ("/?k=abc", 400, "k must be a whole number from 1 to 96, got &#39;abc&#39;"),
            (f"/?id={RED_MUG}&strategy=graph", 400, "strategy must be one of scan, sub_codes, got &#39;graph&#39;"),
            ("/?strategy=foo", 400, "strategy must be one of scan, sub_codes, got &#39;foo&#39;"),
            (f"/?id={RED_MUG}&category=hats", 200, "“hats”"),
            ("/?category=hats", 200, "“hats”"),
        ],
    )
    def test_errors_and_empty_results_are_explained_on_the_page(
        self, web: FlaskClient, path: str, status: int, words: str
    ) -> None:
        page = web.get(path)
        assert (page.status_code, page.mimetype) == (status, "text/html")
        assert words in page.text

    def test_what_the_page_does_not_offer_is_refused_before_any_search(self, shop: Shop, options: Settings) -> None:
        with connect("http://127.0.0.1:9") as nobody:
            lonely = create_app({"shop": moved(shop.searcher, nobody)}, options).test_client()
            for wrong in ({"k": "10000"}, {"strategy": "foo"}):
                form = {"image": (io.BytesIO(shop.picture(RED_MUG)), "mug.png"), **wrong}
                assert lonely.get("/", query_string=wrong).status_code == 400
                assert lonely.post("/", data=form).status_code == 400
            assert lonely.get("/").status_code == 503

    def test_a_search_without_hits_says_so_in_words(self, web: FlaskClient) -> None:
        page = web.get(f"/?id={RED_MUG}&category=hats")
        assert "<h2>No similar pictures</h2>" in page.text and "0 most similar" not in page.text

    def test_why_a_picture_is_not_shown_is_explained(self, web: FlaskClient) -> None:
        outside, gone = (
            f"Some pictures cannot be shown: the file is {why}."
            for why in ("not inside a folder given with --images", "no longer there")
        )
        for path, reasons in (
            ("/?category=mugs", []),
            ("/?category=oddities", [gone, outside]),
            ("/?id=gone&category=mugs", [gone]),
            ("/?id=outside&category=mugs", [outside]),
        ):
            assert re.findall('class="notice">(.*)</p>', web.get(path).text) == sorted(reasons), path

    def test_a_second_view_counts_nothing_and_a_later_one_shows_what_is_new(
        self, client: Elasticsearch, node: SimpleNamespace, shop: Shop, options: Settings, fresh_name: str
    ) -> None:
        encoder, vectors, time = shop.searcher.encoder, np.stack(list(shop.vectors.values())), [0.0]
        index, counts = filled(client, fresh_name, encoder, vectors[:3]), FaultProxy(node.url, "_count")
        with connect(counts.url) as proxied:
            searcher = moved(Searcher(encoder, index), proxied)
            web = create_app({"shop": searcher}, options, clock=lambda: time[0]).test_client()
            assert "<strong>3</strong> images" in web.get("/").text
            counts.plan(answers(500))
            texts = [{"category": "new"}] * 5
            assert BulkWriter(client, index.alias).write(documents_of(encoder, vectors[:5], texts)) == []
            index.refresh()
            time[0] = SECONDS - 0.1
            for page in (web.get("/"), web.get("/?id=0000")):
                assert "<strong>3</strong> images" in page.text and "(5)" not in page.text
            time[0] = SECONDS
            assert web.get("/").status_code == 502  # which is not kept
            page = web.get("/")
            assert "<strong>5</strong> images" in page.text and "new (5)" in page.text
        counts.stop()

    def test_an_upload_that_is_not_an_image_is_refused_on_the_page(self, web: FlaskClient) -> None:
        page = web.post("/", data={"image": (io.BytesIO(b"%PDF-1.7"), "menu.pdf")})
        assert (page.status_code, page.mimetype) == (415, "text/html")
        assert "That is not an image" in page.text

    def test_an_empty_index_is_explained_on_the_page(
        self, client: Elasticsearch, shop: Shop, options: Settings
    ) -> None:
        name = f"{shop.searcher.index.alias.removeprefix('hashsearch-')}-empty"
        index = ImageIndex.create(client, name, shop.searcher.encoder)
        page = create_app({"shop": Searcher(shop.searcher.encoder, index)}, options).test_client().get("/")
        assert (page.status_code, "Nothing is indexed yet" in page.text) == (200, True)


CARDS = "[...document.querySelectorAll('.card')].map(card => card.title)"
SHOWN = "[...document.querySelectorAll('.card img')].every(image => image.complete && image.naturalWidth > 0)"
SEARCHED = "document.querySelector('#results').ariaBusy === 'false'"
PROBLEM = "document.querySelector('.problem h2')?.textContent"
MESSAGE = "document.querySelector('.problem p')?.textContent"
AGAIN_HIDDEN = "document.querySelector('.problem .again').hidden"
STATUS = "document.querySelector('[role=status]')"


class TestInABrowser:
    def test_a_click_on_an_example_shows_similar_images(self, browser: Browser, address: str) -> None:
        browser.open(f"{address}/?category=mugs&k=12")
        browser.click(".card")
        browser.wait("location.search.includes('id=')")
        browser.wait("document.readyState === 'complete'")
        chosen = browser.ask("new URLSearchParams(location.search).get('id')")
        assert chosen not in browser.ask(CARDS)
        assert set(browser.ask("[...document.querySelectorAll('.card .category')].map(e => e.textContent)")) == {"mugs"}

    def test_a_chosen_picture_is_searched_at_once(self, browser: Browser, address: str, shop: Shop) -> None:
        browser.open(address)
        browser.choose_file("#image", shop.folder / RED_MUG)
        browser.wait(SEARCHED)
        assert browser.ask(CARDS)[0] == RED_MUG
        assert browser.ask("document.querySelector('.preview img').naturalWidth") == 96
        choose(browser, "category", "flyers")
        browser.wait(f"{CARDS}.length === 6 && {SEARCHED}")

    def test_a_dropped_and_a_pasted_picture_are_searched_at_once(
        self, browser: Browser, address: str, shop: Shop
    ) -> None:
        browser.open(f"{address}/?id={RED_MUG}")
        browser.drop_file(".heading", shop.folder / "flyers/blue.png")
        browser.wait(f"{CARDS}[0] === 'flyers/blue.png'")
        assert browser.ask("location.search") == ""
        browser.ask(
            """fetch("/images/flyers/gold.png").then(answer => answer.blob()).then(blob => {
                const clipboardData = new DataTransfer();
                clipboardData.items.add(new File([blob], "pasted.jpg", {type: "image/jpeg"}));
                dispatchEvent(new ClipboardEvent("paste", {clipboardData}));
            })"""
        )
        browser.wait(f"{CARDS}[0] === 'flyers/gold.png'")
        assert browser.ask("document.querySelector('.caption').textContent") == "pasted.jpg"

    def test_errors_are_shown_in_place(self, browser: Browser, address: str, shop: Shop) -> None:
        browser.open(address)
        browser.choose_file("#image", shop.folder / "note.png")
        browser.wait(f"{PROBLEM} === 'That is not an image' && {SEARCHED}")
        assert browser.ask(AGAIN_HIDDEN)
        assert browser.ask("document.querySelector('.problem a').textContent") == "Start again"

    def test_a_search_that_lost_the_connection_can_be_tried_again(
        self, browser: Browser, address: str, shop: Shop
    ) -> None:
        def connected(on: bool) -> None:
            rates = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
            browser.call("Network.emulateNetworkConditions", offline=not on, **rates)

        browser.open(address)
        browser.call("Network.enable")
        connected(False)
        browser.choose_file("#image", shop.folder / RED_MUG)
        browser.wait(f"{PROBLEM} === 'The search failed' && {SEARCHED}")
        assert browser.ask(MESSAGE) == "No answer from the search service. Check the connection and try again."
        assert browser.ask("document.querySelector('.problem a').textContent") == "Start again"
        connected(True)
        browser.click(".again")
        browser.wait(f"{CARDS}[0] === '{RED_MUG}' && {SEARCHED}")

    def test_a_search_that_elasticsearch_refused_can_be_tried_again(
        self, browser: Browser, shop: Shop, options: Settings, node: SimpleNamespace
    ) -> None:
        searches = FaultProxy(node.url, "_msearch")
        with connect(searches.url) as client:
            app = create_app({"shop": moved(shop.searcher, client)}, options)
            with serving(app) as address:
                browser.open(f"{address}/?category=hats")  # without pictures, each of which would be a request
                searches.plan(answers(503), answers(500))
                browser.choose_file("#image", shop.folder / RED_MUG)
                for words in ("try again in a moment", "could not process the request"):
                    browser.wait(f"{MESSAGE}.includes('{words}') && {SEARCHED}")
                    browser.click(".again")
                browser.wait(f"{CARDS}[0] === '{RED_MUG}' && {SEARCHED}")
                assert browser.ask("document.querySelector('.caption').textContent") == "red.png"
                assert browser.ask("document.activeElement.id") == "results"
        searches.stop()

    def test_a_thumbnail_that_is_refused_is_asked_for_again(
        self, browser: Browser, node: SimpleNamespace, shop: Shop, options: Settings
    ) -> None:
        searches = FaultProxy(node.url, "search")
        with connect(searches.url) as client:
            app = create_app({"shop": moved(shop.searcher, client)}, options)
            with serving(app) as address:
                browser.open(f"{address}/?category=hats")  # without pictures, each of which would be a request
                searches.plan(answers(503), answers(503))
                picture = f"Object.assign(new Image(), {{src: '/images/{RED_MUG}'}})"
                browser.ask(f"document.querySelector('#results').append({picture})")
                browser.wait("document.querySelector('#results img').naturalWidth > 0")
        searches.stop()

    def test_the_same_file_can_be_chosen_again(self, browser: Browser, address: str, shop: Shop) -> None:
        browser.open(address)
        browser.ask("window.sent = 0; const send = fetch; window.fetch = (...all) => (sent++, send(...all)); 0")
        for count in (1, 2):
            browser.choose_file("#image", shop.folder / RED_MUG)
            browser.wait(f"sent === {count} && {SEARCHED}")
        browser.ask("document.querySelector('#image').dispatchEvent(new Event('change'))")  # nothing was chosen
        assert browser.ask(f"[sent, {CARDS}[0], document.querySelector('.caption').textContent]") == [
            2,
            RED_MUG,
            "red.png",
        ]

    def test_results_are_announced_each_time(self, browser: Browser, address: str, shop: Shop) -> None:
        browser.open(f"{address}/?k=12")
        browser.ask(
            f"""window.announced = [];
            new MutationObserver(() => announced.push({STATUS}.textContent)).observe({STATUS}, {{childList: true}})"""
        )
        for name in (RED_MUG, "flyers/gold.png"):
            browser.choose_file("#image", shop.folder / name)
            browser.wait(f"{CARDS}[0] === '{name}' && {SEARCHED}")
        assert browser.ask("announced") == ["12 most similar", "", "12 most similar"]
        browser.choose_file("#image", shop.folder / "note.png")
        browser.wait(f"{PROBLEM} && {SEARCHED}")
        assert browser.ask("announced.at(-1)") == ""  # the problem is an alert
        assert browser.ask("document.querySelector('.problem').role") == "alert"
        assert browser.ask(f"{STATUS}.closest('[aria-busy]')") is None

    def test_a_file_that_is_too_large_is_not_sent(
        self, browser: Browser, shop: Shop, options: Settings, tmp_path: Path
    ) -> None:
        (tmp_path / "large.png").write_bytes(bytes(1_000_000))
        with serving(create_app({"shop": shop.searcher}, replace(options, max_bytes=1000))) as address:
            browser.open(address)
            browser.choose_file("#image", tmp_path / "large.png")
            browser.wait(f"{PROBLEM} === 'That image is too large' && {SEARCHED}")
            assert browser.ask(MESSAGE) == "An image may have at most 0.001 MB."
            assert browser.ask(AGAIN_HIDDEN)
            assert browser.ask("performance.getEntriesByType('resource').every(e => e.initiatorType !== 'fetch')")

    def test_a_file_that_the_server_does_not_read_is_too_large(
        self, browser: Browser, shop: Shop, options: Settings, tmp_path: Path
    ) -> None:
        (tmp_path / "large.png").write_bytes(bytes(1_000_000))
        with serving(create_app({"shop": shop.searcher}, replace(options, max_bytes=1000))) as address:
            browser.open(address)
            browser.ask("document.querySelector('#image').dataset.maxBytes = 1e9")  # as with a proxy of a lower limit
            browser.choose_file("#image", tmp_path / "large.png")
            browser.wait(f"{PROBLEM} === 'The search failed' && {SEARCHED}")
            assert browser.ask(MESSAGE) == "That picture is too large."
            assert browser.ask(AGAIN_HIDDEN)

    def test_the_page_works_without_scripts(self, browser: Browser, address: str, shop: Shop) -> None:
        browser.call("Emulation.setScriptExecutionDisabled", value=True)
        browser.open(address)
        browser.choose_file("#image", shop.folder / "flyers/black.png")
        browser.click("form button")
        browser.wait("document.querySelector('.preview img')")
        browser.wait("document.readyState === 'complete'")
        assert browser.ask(CARDS)[0] == "flyers/black.png"
        browser.click(".card")
        browser.wait("location.search === '?id=flyers/black.png'")

    def test_another_model_searches_with_the_same_picture(
        self, browser: Browser, shop: Shop, options: Settings, client: Elasticsearch
    ) -> None:
        """The other one has flyers only, of no category."""
        rows = [image_id for image_id in shop.vectors if image_id.startswith("flyers/")]
        vectors = np.stack([shop.vectors[image_id] for image_id in rows])
        with fresh_index_name(client) as name:
            flyers = Searcher(shop.searcher.encoder, filled(client, name, shop.searcher.encoder, vectors))
            app = create_app({"all": shop.searcher, "flyers": flyers}, options)
            with serving(app) as address:
                browser.open(address)
                browser.choose_file("#image", shop.folder / RED_MUG)
                browser.wait(SEARCHED)
                assert browser.ask(CARDS)[0] == RED_MUG
                choose(browser, "strategy", "scan")
                choose(browser, "model", "flyers")
                browser.wait(f"{CARDS}.length === 6 && {SEARCHED}")
                assert browser.ask("document.querySelector('.stock').textContent").strip() == "6 images indexed"
                assert browser.ask("document.querySelector('[name=category]')") is None
                assert browser.ask("document.querySelector('[name=strategy]').value") == "scan"
                browser.ask("document.querySelector('[name=model]').focus()")
                choose(browser, "model", "all")
                browser.wait(f"{CARDS}[0] === '{RED_MUG}' && {SEARCHED}")
                assert browser.ask("document.querySelector('[name=category]').value") == ""
                assert browser.ask("document.activeElement.name") == "model"

    @pytest.mark.parametrize("width", [390, 768, 1280])
    def test_the_controls_of_several_models_have_room(
        self, browser: Browser, shop: Shop, options: Settings, width: int
    ) -> None:
        browser.look(width, 800, phone=width < 500)
        with serving(create_app({"small": shop.searcher, "large": shop.searcher}, options)) as address:
            for path in ("/", f"/?id={RED_MUG}"):
                browser.open(address + path)
                names, widths = zip(
                    *browser.ask("[...document.querySelectorAll('select')].map(e => [e.name, e.clientWidth])")
                )
                assert names == ("model", "k", "category", "strategy")
                assert min(widths) >= 140, path  # pixels, of 9 rem
                assert browser.ask(
                    "[...document.querySelectorAll('.controls label')].every(e => e.scrollWidth <= e.clientWidth)"
                )
                assert browser.ask("document.documentElement.scrollWidth") <= width, path

    def test_the_page_can_be_used_with_the_keyboard_alone(self, browser: Browser, address: str) -> None:
        browser.open(f"{address}/?id={RED_MUG}")
        focused = []
        for _ in range(8):
            browser.press("Tab")
            focused.append(browser.ask("document.activeElement.name || document.activeElement.className"))
            marked = "(e => e.id === 'image' ? e.nextElementSibling : e)(document.activeElement)"
            assert browser.ask(f"getComputedStyle({marked}).outlineStyle") == "solid", focused[-1]
        assert focused == ["skip", "brand", "image", "k", "category", "strategy", "card", "card"]
        browser.press("Enter")
        browser.wait(f"!location.search.endsWith('{RED_MUG}')")

    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    @pytest.mark.parametrize("width", [360, 820, 1600])
    def test_the_page_fits_every_screen_in_light_and_dark(
        self, browser: Browser, address: str, width: int, dark: bool
    ) -> None:
        browser.look(width, 800, dark=dark, phone=width < 500)
        for path in ("/", f"/?id={RED_MUG}", "/?id=nobody"):
            browser.open(address + path)
            assert browser.ask("document.documentElement.scrollWidth") <= width, path
        colours = browser.ask("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
        ink, paper = (sum(map(int, colour.strip("rgb()").split(","))) for colour in colours)
        assert (ink > paper) == dark

    def test_the_page_loads_nothing_from_other_sites(self, browser: Browser, address: str) -> None:
        browser.open(f"{address}/?id={RED_MUG}&category=mugs")
        browser.wait(SHOWN)
        requested = browser.ask("performance.getEntriesByType('resource').map(entry => entry.name)")
        assert requested and all(name.startswith(address) for name in requested)
        named = "[...document.querySelectorAll('img, select, [type=file]')].every(e => e.alt || e.labels?.length)"
        assert browser.ask(named)
