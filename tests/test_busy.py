"""The endpoint under load: connections, requests and thumbnails beyond what it takes, and health checks meanwhile."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from flask import Flask
from PIL import Image
from support.faults import Exchange, FaultProxy, passes
from support.shop import Shop

from hashsearch.config import Settings
from hashsearch.elastic.client import CONNECTIONS, connect
from hashsearch.images.decoders import DecoderPool
from hashsearch.images.decoding import decode
from hashsearch.images.limits import DEFAULT
from hashsearch.search.searcher import Searcher
from hashsearch.web import REQUESTS, THREADS, create_app, server
from hashsearch.web.thumbnail_cache import ThumbnailCache

RED_MUG = "mugs/red.png"


@contextmanager
def serving(app: Flask) -> Iterator[int]:
    """Runs a server for the application; its port."""
    served = server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=served.run, daemon=True)
    thread.start()
    yield served.effective_port
    served.close()


def get(port: int, path: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def code_of(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


def jpeg(picture: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", **options)
    return out.getvalue()


def smooth(width: int, height: int) -> Image.Image:
    """A picture without fine detail, so that any way to reduce it gives nearly the same."""
    levels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)


class TestServer:
    def test_every_thread_has_a_connection_to_elasticsearch(self) -> None:
        assert THREADS <= CONNECTIONS

    def test_idle_connections_and_thumbnail_clients_leave_health_checks_alone(self, shop: Shop, tmp_path: Path) -> None:
        app = create_app({"shop": shop.searcher}, Settings(home=tmp_path, image_roots=(shop.folder,)))
        with serving(app) as port, ExitStack() as opened, ThreadPoolExecutor(24) as clients:
            for _ in range(300):
                opened.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
            pictures = [clients.submit(get, port, f"/images/{image_id}") for image_id in [RED_MUG] * 200]
            assert [get(port, "/healthz")[0] for _ in range(10)] == [200] * 10
            assert {picture.result()[0] for picture in pictures} <= {200, 503}

    def test_health_is_checked_while_elasticsearch_hangs_and_all_places_are_taken(
        self, shop: Shop, node: SimpleNamespace, tmp_path: Path
    ) -> None:
        release, waiting = threading.Event(), threading.Semaphore(0)

        def hang(exchange: Exchange) -> None:
            waiting.release()
            release.wait(60)
            passes(exchange)

        proxy = FaultProxy(node.url, "search")
        proxy.plan(*[hang] * REQUESTS)
        with connect(proxy.url) as client:
            slow = Searcher(shop.searcher.encoder, replace(shop.searcher.index, client=client))
            app = create_app({"shop": slow}, Settings(home=tmp_path))
            with serving(app) as port, ThreadPoolExecutor(REQUESTS) as clients:
                hanging = [clients.submit(get, port, "/api/images/nobody") for _ in range(REQUESTS)]
                for _ in range(REQUESTS):
                    assert waiting.acquire(timeout=60)
                assert get(port, "/healthz")[0] == 200
                status, body = get(port, f"/api/images/{RED_MUG}")
                assert (status, code_of(body)) == (503, "service_unavailable")
                assert b"too many requests at once" in body
                release.set()
                assert {request.result()[0] for request in hanging} == {404}
                assert get(port, f"/api/images/{RED_MUG}")[0] == 200
        proxy.stop()


class TestThumbnails:
    def test_a_picture_is_decoded_for_its_first_viewer_only(self, shop: Shop, tmp_path: Path) -> None:
        options = Settings(home=tmp_path, image_roots=(shop.folder,))
        file, before = shop.folder / RED_MUG, shop.picture(RED_MUG)
        first = create_app({"shop": shop.searcher}, options).test_client().get(f"/images/{RED_MUG}")
        assert first.status_code == 200
        try:
            file.write_bytes(b"no picture any more")
            again = create_app({"shop": shop.searcher}, options).test_client()
            assert again.get(f"/images/{RED_MUG}").data == first.data
            file.unlink()
            assert again.get(f"/images/{RED_MUG}").status_code == 404, "what is gone is not shown"
        finally:
            file.write_bytes(before)

    def test_a_file_that_changed_since_it_was_indexed_is_not_kept(self, shop: Shop, tmp_path: Path) -> None:
        web = create_app({"shop": shop.searcher}, Settings(home=tmp_path, image_roots=(shop.folder,))).test_client()
        file, before = shop.folder / RED_MUG, shop.picture(RED_MUG)
        try:
            file.write_bytes(shop.picture("mugs/blue.png"))
            changed = web.get(f"/images/{RED_MUG}").data
        finally:
            file.write_bytes(before)
        assert web.get(f"/images/{RED_MUG}").data != changed

    def test_without_a_place_to_keep_them_they_are_shown_all_the_same(
        self, shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        home = tmp_path / "home"
        home.write_text("a file, not a folder")
        web = create_app({"shop": shop.searcher}, Settings(home=home, image_roots=(shop.folder,))).test_client()
        assert web.get(f"/images/{RED_MUG}").status_code == 200
        assert "thumbnails cannot be kept" in caplog.text

    def test_the_oldest_are_removed(self, tmp_path: Path) -> None:
        cache = ThumbnailCache(tmp_path, max_bytes=1000)
        kept = [bytes(98) + b"\xff\xd9"] * 25
        for number, thumbnail in enumerate(kept):
            cache.put(f"{number:02}", thumbnail)
        found = [number for number in range(25) if cache.get(f"{number:02}")]
        assert found == list(range(25 - len(found), 25)) and 8 <= len(found) <= 10
        assert sum(file.stat().st_size for file in tmp_path.glob("*/*")) <= 1000

    def test_an_incomplete_file_is_not_there(self, tmp_path: Path) -> None:
        cache = ThumbnailCache(tmp_path)
        cache.put("ab", b"\xff\xd8 the rest was lost with the power")
        assert cache.get("ab") is None

    @pytest.mark.parametrize("digest", ["../../secret", "/etc/passwd", "", "a\0b", "x" * 5000])
    def test_any_digest_leads_into_the_folder(self, tmp_path: Path, digest: str) -> None:
        cache = ThumbnailCache(tmp_path / "cache")
        cache.put(digest, b"\xff\xd9")
        assert cache.get(digest) == b"\xff\xd9"
        assert [path.name for path in tmp_path.iterdir()] == ["cache"]


class TestReducedDecoding:
    @pytest.mark.parametrize(("width", "height"), [(4000, 3000), (3000, 4001), (5000, 500), (1000, 999)])
    @pytest.mark.parametrize("turn", [1, 6])
    def test_a_large_jpeg_is_decoded_at_a_part_of_its_size(self, width: int, height: int, turn: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = turn
        data, pool = jpeg(smooth(width, height), exif=exif), DecoderPool(1)
        whole, part = pool.decode(data, DEFAULT), pool.decode(data, DEFAULT, least_side=960)
        pool.close()
        scale = max(whole.shape) / max(part.shape)
        assert scale in (1, pytest.approx(2, abs=0.01), pytest.approx(4, abs=0.01))
        assert 960 <= max(part.shape) < 2 * 960 or scale == 1
        size = part.shape[1], part.shape[0]
        reduced = np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.BOX)).astype(int)
        assert np.abs(reduced - part).mean() < 2

    def test_other_formats_and_small_images_are_decoded_as_they_are(self) -> None:
        pool, out = DecoderPool(1), io.BytesIO()
        smooth(2000, 1500).save(out, "PNG")
        for data in (out.getvalue(), jpeg(smooth(300, 200))):
            assert (pool.decode(data, DEFAULT, least_side=480) == decode(data)).all()
        pool.close()
