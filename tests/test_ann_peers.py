"""The benchmark's peers give what their method promises, compared with numpy: real nodes, real libraries."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.vectors import clustered

from benchmarks.ann import opensearch
from benchmarks.ann.methods import Place, Sizes
from benchmarks.ann.painless import MAKERS, ElasticHash, Fenshses, OurBlocks, OurCells
from benchmarks.ann.scripted import Scripted
from hashsearch.errors import NodeError, SearchError
from hashsearch.hashing.bits import hamming
from hashsearch.hashing.vectors import Vectors, normalised
from hashsearch.node.account import process_identity

COUNT, DIMS, K = 2000, 288, 10

Rows = NDArray[np.int64]


@cache
def photos() -> tuple[Vectors, Vectors]:
    """Base `(2000, dims)` and queries `(6, dims)`: three of the clusters they come from, three near-duplicates."""
    raw = clustered(COUNT + 6, DIMS, clusters=100)
    raw[-3:] = raw[:3] + 0.05 * np.random.default_rng(1).standard_normal((3, DIMS))
    raw -= raw[:COUNT].mean(axis=0)
    vectors = normalised(raw, DIMS)
    return vectors[:COUNT], vectors[COUNT:]


def best(query: Vectors, rows: Rows, k: int = K) -> Rows:
    """The rows with the largest cosine to the query, best first."""
    cosines = photos()[0][rows] @ query
    return rows[np.argsort(-cosines, kind="stable")[:k]]


def distances(method: Scripted, query: Vectors) -> NDArray[np.int32]:
    """Hamming distance of every code to the query's."""
    codes = method.binarizer.transform(photos()[0])
    row: NDArray[np.int32] = hamming(method.binarizer.transform(query[np.newaxis]), codes)[0]
    return row


@pytest.fixture(scope="module")
def server(server_folder: Path) -> Path:
    """Where OpenSearch lies; skips where neither it nor Maven can be had, or no Java that it runs on."""
    try:
        opensearch.newest_java(process_identity())
        opensearch.install(server_folder)
    except NodeError as error:
        if "could not be downloaded from Maven" in str(error) or "needs a JDK" in str(error):
            pytest.skip(str(error))
        raise
    return server_folder


def built(name: str, home: Path, server: Path) -> Iterator[Any]:
    """The method, its index built over the photos; stopped afterwards."""
    folder = home / name
    folder.mkdir()
    folder.chmod(0o755)
    method = MAKERS[name](Place(folder, server, heap="512m"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENSEARCH_JAVA_OPTS", "-XX:TieredStopAtLevel=1")  # starts sooner, and nobody waits for searches
        try:
            method.build(photos()[0])
            yield method
        finally:
            method.close()


@pytest.fixture(scope="module")
def elastichash(node_home: Path, server: Path) -> Iterator[ElasticHash]:
    yield from built("elastichash", node_home, server)


@pytest.fixture(scope="module")
def plain_fenshses(node_home: Path, server: Path) -> Iterator[Fenshses]:
    yield from built("fenshses", node_home, server)


@pytest.fixture(scope="module", params=["by cost", "by sub-codes"])
def fenshses(request: pytest.FixtureRequest, plain_fenshses: Fenshses) -> Fenshses:
    """As it is, scoring all of so few codes, and looking up sub-codes wherever that is possible."""
    if request.param == "by cost":
        return plain_fenshses
    filtering = Fenshses(plain_fenshses.place, codes_a_term=0)
    filtering.restore()
    filtering.connect()
    return filtering


@pytest.fixture(scope="module")
def our_cells(node_home: Path, server: Path) -> Iterator[OurCells]:
    yield from built("elastichash-our-candidates", node_home, server)


@pytest.fixture(scope="module")
def our_blocks(node_home: Path, server: Path) -> Iterator[OurBlocks]:
    yield from built("fenshses-our-candidates", node_home, server)


def union(method: ElasticHash, query: Vectors) -> Rows:
    """The rows that share one of the four sub-codes with the query but for at most 2 bits."""
    values = method.sub_codes.values(method.binarizer.transform(photos()[0]))
    own = method.sub_codes.values(method.binarizer.transform(query[np.newaxis]))
    return np.flatnonzero((np.bitwise_count(values ^ own) <= 2).any(axis=1))


def test_elastichash_has_64_distinct_bits(elastichash: ElasticHash) -> None:
    """Its repository's tool has 28: it cuts the permutation at 0, 4, 8, 12."""
    bits = elastichash.sub_codes.positions_
    assert bits.shape == (4, 16) and len(np.unique(bits)) == 64 and bits.min() >= 0 and bits.max() < 256


@pytest.mark.parametrize("scorer", ["functions", "script"])
def test_elastichash_scores_all_that_share_a_sub_code_but_for_two_flips(elastichash: ElasticHash, scorer: str) -> None:
    for query in photos()[1]:
        rows = elastichash.query(query, COUNT, {"order": "hamming", "scorer": scorer})
        expected = union(elastichash, query)
        assert 0 < len(expected) < COUNT
        assert sorted(rows) == expected.tolist()
        assert (np.diff(distances(elastichash, query)[rows]) >= 0).all()


def test_elastichash_candidates_by_cosine(elastichash: ElasticHash) -> None:
    setting = {"order": "cosine", "candidates": COUNT, "scorer": "functions"}
    for query in photos()[1]:
        expected = best(query, union(elastichash, query))
        assert elastichash.query(query, K, setting).tolist() == expected.tolist()


def test_a_finished_build_serves_a_new_object(elastichash: ElasticHash) -> None:
    again = ElasticHash(elastichash.place)
    again.restart()
    for setting in elastichash.settings():
        for query in photos()[1][:2]:
            assert again.query(query, K, setting).tolist() == elastichash.query(query, K, setting).tolist()


def test_fenshses_reports_sizes_and_versions(fenshses: Fenshses) -> None:
    sizes = fenshses.sizes()
    assert COUNT * 256 / 8 < sizes.memory_bytes < COUNT * 256 < COUNT * DIMS * 4 < sizes.disk_bytes
    versions = fenshses.versions()
    assert versions["opensearch"] == opensearch.VERSION and 11 <= int(versions["jvm"].split(".")[0]) < 24


@pytest.mark.parametrize("radius", [0, 15, 31, 40, 63, 70, 256])
def test_fenshses_finds_every_code_within_the_radius(fenshses: Fenshses, radius: int) -> None:
    for query in photos()[1]:
        rows = fenshses.query(query, COUNT, {"radius": radius, "order": "hamming"})
        far = distances(fenshses, query)
        assert sorted(rows) == np.flatnonzero(far <= radius).tolist()
        assert (np.diff(far[rows]) >= 0).all()


@pytest.mark.parametrize("k", [1, K, 300, COUNT + 1])
def test_fenshses_finds_the_nearest_codes(fenshses: Fenshses, k: int) -> None:
    for query in photos()[1]:
        far = distances(fenshses, query)
        assert far[fenshses.query(query, k, {"order": "hamming"})].tolist() == sorted(far)[:k]


def test_fenshses_candidates_by_cosine(fenshses: Fenshses) -> None:
    for query in photos()[1]:
        everything = fenshses.query(query, K, {"order": "cosine", "candidates": COUNT})
        assert everything.tolist() == best(query, np.arange(COUNT)).tolist()


def test_more_hits_than_one_answer_holds_are_refused(fenshses: Fenshses) -> None:
    with pytest.raises(SearchError, match="returns 1 to 10000 hits per request, got 10001"):
        fenshses.query(photos()[1][0], K, {"radius": 20, "order": "cosine", "candidates": 10_001})


def agrees(method: OurCells | OurBlocks, setting: dict[str, int], probed: Callable[[Vectors], list[str]]) -> None:
    """The answers are those that share a probed sub-code, by Hamming distance or by cosine; also after restoring."""
    base, queries = photos()
    terms = method.sub_codes.terms(base, method.binarizer.transform(base))
    again = type(method)(method.place)
    again.restore()
    again.connect()
    for query in queries:
        expected = np.flatnonzero(np.isin(terms, probed(query)).any(axis=1))
        rows = method.query(query, COUNT, {"order": "hamming", **setting})
        assert 0 < len(expected) < COUNT and sorted(rows) == expected.tolist()
        assert (np.diff(distances(method, query)[rows]) >= 0).all()
        few = again.query(query, K, {"order": "cosine", "candidates": COUNT, **setting})
        assert few.tolist() == best(query, expected).tolist()
        assert all(len(set(again.query(query, K, each).tolist())) == K for each in method.settings())


def test_our_cells_score_those_of_the_nearest_cells(our_cells: OurCells) -> None:
    centres = our_cells.sub_codes.centres_
    names = np.array(our_cells.sub_codes.names())

    def probed(query: Vectors) -> list[str]:
        nearest = np.argsort(((centres - query) ** 2).sum(axis=1))
        within = our_cells.cell_sizes_[nearest].cumsum() <= 300
        return list(names[nearest[: max(1, within.sum())]])

    assert our_cells.cell_sizes_.sum() == our_cells.sub_codes.nearest * COUNT
    agrees(our_cells, {"compared": 300}, probed)


def test_our_blocks_score_those_with_a_probed_value(our_blocks: OurBlocks) -> None:
    def probed(query: Vectors) -> list[str]:
        margins = our_blocks.binarizer.margins(query[np.newaxis])[0]
        return our_blocks.sub_codes.query_terms(np.packbits(margins > 0), margins, 4)

    agrees(our_blocks, {"probes": 4}, probed)


def test_a_wrong_file_is_refused_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group, artifact, version = opensearch.SERVER
    archive = tmp_path / "m2" / group.replace(".", "/") / artifact / version / f"{artifact}-{version}.zip"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"broken off")
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    with pytest.raises(NodeError, match=rf"{archive.name}' must have the sha256 [0-9a-f]{{64}}, not [0-9a-f]{{64}}"):
        opensearch.install(tmp_path / "server")
    assert [path.name for path in (tmp_path / "server").iterdir()] == ["opensearch.lock"]


def test_a_missing_java_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENSEARCH_JAVA_HOME", raising=False)
    with pytest.raises(NodeError, match="needs a JDK 17 to 23, and none was found"):
        opensearch.newest_java(process_identity(), folders=[])


# The libraries, each in a process of its own: FAISS and usearch crash each other.

LIBRARIES = {
    "faiss-flat": {},
    "faiss-ivf-flat": {"probes": 128},
    "faiss-ivf-pq": {"probes": 128, "refined": COUNT // K},
    "faiss-binary-flat": {"candidates": COUNT},
    "faiss-binary-multihash": {"flips": 2, "candidates": 500},
    "usearch-hnsw": {"expansion": 512},
    "usearch-binary": {"candidates": 1000, "expansion": 1000},
}
EXACT = {"faiss-flat", "faiss-ivf-flat", "faiss-ivf-pq", "faiss-binary-flat"}


def library_answers(name: str, folder: Path) -> tuple[list[list[int]], list[list[int]], Sizes, list[Any], list[str]]:
    """Built here: the answers, a new object's answers after loading, sizes, the first setting's, versions."""
    from benchmarks.ann.libraries import MAKERS

    base, queries = photos()
    method, setting = MAKERS[name](Place(folder, folder)), LIBRARIES[name]
    seconds = method.build(base)
    assert all(value >= 0 for value in seconds.values())
    method.connect()
    before = [method.query(query, K, setting).tolist() for query in queries]
    plain = [method.query(queries[0], K, each).tolist() for each in method.settings()]
    method.close()
    again = MAKERS[name](Place(folder, folder))
    again.restart()
    after = [again.query(query, K, setting).tolist() for query in queries]
    return before, after, again.sizes(), plain, list(again.versions())


@pytest.fixture(scope="module", params=LIBRARIES)
def answered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """A library's name and its answers."""
    module = request.param.split("-")[0]
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install 'hashsearch[benchmarks]'")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return request.param, pool.submit(library_answers, request.param, tmp_path_factory.mktemp("library")).result()


def test_libraries_agree_with_numpy(answered: tuple[str, Any]) -> None:
    name, (before, after, *_) = answered
    truth = [best(query, np.arange(COUNT)).tolist() for query in photos()[1]]
    if name in EXACT:
        assert before == truth
    else:
        found = [len(set(rows) & set(expected)) / K for rows, expected in zip(before, truth)]
        assert np.mean(found) >= 0.95, f"{name}: {found}"
    assert after == before


def test_libraries_answer_every_setting_with_distinct_rows(answered: tuple[str, Any]) -> None:
    _, (_, _, _, plain, _) = answered
    assert plain
    for rows in plain:
        assert 0 < len(set(rows)) == len(rows) <= K and min(rows) >= 0 and max(rows) < COUNT


def test_libraries_report_sizes_and_versions(answered: tuple[str, Any]) -> None:
    name, (_, _, sizes, _, versions) = answered
    assert 0 < sizes.memory_bytes <= sizes.disk_bytes and sizes.disk_bytes >= COUNT * DIMS * 4
    assert name.split("-")[0] in versions
