"""What the tests share: a real Elasticsearch, markers, and the order of files."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from hashsearch.config import Settings, default_home
from hashsearch.errors import NodeError
from hashsearch.node.account import process_identity
from hashsearch.node.jdk import newest_jdk
from hashsearch.node.node import LocalNode

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch
    from support.shop import Shop


# Where a shell runs the tests in the background, Ctrl-C is ignored, and what they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Commands log JSON where there is no terminal; tests compare what people read.
os.environ["HASHSEARCH_LOG"] = "text"


# A test that uses one of these, by itself or through another fixture, needs a search server.
SERVER_FIXTURES = {"client", "node", "node_home", "server_folder"}

# Started first, longest first: with a file per worker, one of them at the end would keep the others waiting.
LONG_FILES = """test_cli test_study test_ann_benchmark test_indexing test_zoo test_ann_peers test_learning test_wheel
    test_node test_binarizers test_by_keypoints test_encoder test_runner test_distillation""".split()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by what it needs: `elastic`, `browser`, both, or neither, which is `unit`."""
    places = {name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & SERVER_FIXTURES:
            item.add_marker(pytest.mark.elastic)
        if "browser" in fixtures:
            item.add_marker(pytest.mark.browser)
        if not any(item.iter_markers("elastic")) and not any(item.iter_markers("browser")):
            item.add_marker(pytest.mark.unit)


def pytest_report_header() -> str:
    if url := os.environ.get("HASHSEARCH_ES_URL"):
        return f"elasticsearch: {url} (HASHSEARCH_ES_URL)"
    try:
        return f"elasticsearch: a local node on {newest_jdk(process_identity())}"
    except NodeError as error:
        return f"elasticsearch: MISSING, tests that need it will fail: {error}"


@pytest.fixture(scope="session")
def server_folder() -> Path:
    """Where the unpacked server is kept between runs, so that it is downloaded once."""
    return default_home(os.environ) / "server"


@pytest.fixture(scope="session")
def node_home() -> Iterator[Path]:
    """A data folder that the node's account may enter also when root runs the tests (pytest's own may not)."""
    home = Path(tempfile.mkdtemp(prefix="hashsearch-test-"))
    home.chmod(0o755)
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def node(node_home: Path, server_folder: Path) -> Iterator[SimpleNamespace]:
    """A started Elasticsearch, one for each worker of pytest-xdist; `.url` is its address."""
    if url := os.environ.get("HASHSEARCH_ES_URL"):
        yield SimpleNamespace(url=url)
        return
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    local = LocalNode(node_home, f"tests-{worker}", heap="512m", server_folder=server_folder)
    try:
        yield SimpleNamespace(url=local.start().url)
    finally:
        local.stop()


@pytest.fixture(scope="session")
def client(node: SimpleNamespace) -> Iterator[Elasticsearch]:
    from hashsearch.elastic.client import connect

    with connect(node.url, Settings.from_environment()) as connected:
        yield connected


@pytest.fixture
def fresh_name(client: Elasticsearch) -> Iterator[str]:
    """A name for a catalog's index, which is removed again."""
    from support.indices import fresh_index_name

    with fresh_index_name(client) as name:
        yield name


@pytest.fixture(scope="module")
def shop(client: Elasticsearch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A small indexed shop, for the page and the API."""
    from support.shop import open_shop

    with open_shop(client, tmp_path_factory.mktemp("shop")) as opened:
        yield opened
