"""What smaller re-rank vectors lose: `python benchmarks/rerank_vectors.py VECTORS.npy PATHS.txt`.

VECTORS.npy holds unit embeddings `(n, dims) float32` of real photos; PATHS.txt the path of each on a line, as
`.../DATA-SET/[train|val|test/]CLASS.../NAME`. All is measured against the full float cosine, on held-out queries:
recall@10 (a hit counts when its full cosine reaches that of the exact tenth, less 1e-6), the error of the cosine,
average precision@10 by class, and the recall of queries by id, whose embedding is reconstructed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from hashsearch.cli.running import run_reporting_errors
from hashsearch.encoder import EmbedderSpec, EncodedQuery, Encoder
from hashsearch.evaluation.metrics.ranking import average_precision_at
from hashsearch.hashing.binarizers import make_binarizer, principal_axes, random_rotation
from hashsearch.hashing.nearest import top_k
from hashsearch.hashing.rerank_vectors import RerankVectors
from hashsearch.hashing.sub_codes import Blocks, Cells
from hashsearch.hashing.vectors import Vectors, normalised

K, PROBES = 10, 16
SPLITS, QUERY_SPLITS = ("train", "val", "test"), ("val", "test")
SETTINGS: tuple[tuple[int | None, str], ...] = (
    (None, "float32"),
    (None, "int8"),
    (768, "int8"),
    (512, "float32"),
    (512, "int8"),
    (256, "float32"),
    (256, "int8"),
    (128, "int8"),
)


@dataclass(frozen=True)
class Photos:
    """Embeddings `(n, dims)`; and for each its data set, its class and whether it is a query: `(n,)`."""

    vectors: Vectors
    data_set: NDArray[np.str_]
    label: NDArray[np.str_]
    is_query: NDArray[np.bool_]

    @classmethod
    def read(cls, vectors: Path, paths: Path) -> Photos:
        """Queries are the photos of the test and validation splits; every fifth where there are no splits."""
        places = [Path(line).parts for line in paths.read_text().splitlines()]
        first = next(column for column, parts in enumerate(zip(*places)) if len(set(parts)) > 1)
        named = [(parts[first], _split(parts[first + 1]), "/".join(parts[first + 1 : -1])) for parts in places]
        parted = {data_set for data_set, split, _ in named if split}
        is_query = [
            split in QUERY_SPLITS if data_set in parted else row % 5 == 0
            for row, (data_set, split, _) in enumerate(named)
        ]
        whole = np.array([split is not None or data_set not in parted for data_set, split, _ in named])
        labels = [label.removeprefix(f"{split}/") for _, split, label in named]
        data_sets = np.array([data_set for data_set, _, _ in named])
        embeddings = np.load(vectors)
        return cls(
            normalised(embeddings[whole], embeddings.shape[1]),
            data_sets[whole],
            np.array(labels)[whole],
            np.array(is_query)[whole],
        )


def _split(folder: str) -> str | None:
    return folder if folder in SPLITS else None


Cosines = Callable[[Vectors, Vectors], NDArray[np.float32]]


def settings(sample: Vectors) -> Iterator[tuple[str, int, Cosines]]:
    """For each setting its name, the bytes of a stored vector, and the function that computes its cosines."""
    for dims, dtype in SETTINGS:
        if dims is None or dims < sample.shape[1]:
            learned = RerankVectors(dims, dtype).fit(sample)
            size = (dims or sample.shape[1]) * np.dtype(dtype).itemsize
            yield f"{dims or sample.shape[1]} {dtype}", size, _stored_cosines(learned)


def alternatives(sample: Vectors, dims: int) -> Iterator[tuple[str, Cosines]]:
    """Other ways to make vectors of `dims` dimensions or of bytes, for comparison."""
    mean = sample.mean(axis=0)
    axes = principal_axes(sample, dims).astype(np.float32)
    centred = principal_axes(sample - mean, dims).astype(np.float32)
    turn = random_rotation(sample.shape[1], np.random.default_rng(0))[:, :dims].astype(np.float32)
    yield f"{dims} float32, ours", lambda a, b: _unit(a @ axes) @ _unit(b @ axes).T
    yield f"{dims} float32, not scaled to length 1", lambda a, b: (a @ axes) @ (b @ axes).T
    yield (
        f"{dims} float32, cosine of centred vectors",
        lambda a, b: _unit((a - mean) @ centred) @ _unit((b - mean) @ centred).T,
    )
    yield f"{dims} float32, axes of centred vectors", lambda a, b: _unit(a @ centred) @ _unit(b @ centred).T
    yield f"{dims} float32, random directions", lambda a, b: _unit(a @ turn) @ _unit(b @ turn).T
    yield f"{dims} int8, not rotated", lambda a, b: _unit(_bytes(a @ axes)) @ _unit(_bytes(b @ axes)).T
    yield f"{sample.shape[1]} int8, not rotated", lambda a, b: _unit(_bytes(a)) @ _unit(_bytes(b)).T


def _stored_cosines(learned: RerankVectors) -> Cosines:
    return lambda a, b: _unit(learned.transform(a)) @ _unit(learned.transform(b)).T


def _unit(vectors: NDArray[Any]) -> Vectors:
    return normalised(vectors)


def _bytes(vectors: Vectors) -> Vectors:
    rounded: Vectors = np.rint(vectors * (127 / np.abs(vectors).max(axis=1, keepdims=True)))
    return rounded


def nearest(cosines: NDArray[np.float32]) -> NDArray[np.intp]:
    """Columns of the K largest of each row, largest first."""
    return top_k(cosines, K)


def recall(truth: NDArray[np.float32], found: NDArray[np.intp]) -> float:
    """The share of hits `(queries, K)` as near as the exact K-th, by the full cosines `(queries, n)`."""
    least = np.partition(truth, -K, axis=1)[:, -K, np.newaxis]
    return float((np.take_along_axis(truth, found, axis=1) >= least - 1e-6).mean())


def picked(rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """At most `count` of the rows, drawn with a fixed seed."""
    return np.random.default_rng(0).permutation(rows)[:count]


def recall_table(photos: Photos, queries: int, learned_on: int) -> None:
    """Recall, and the error of the exact neighbours' cosines; all photos but the queries are searched."""
    rows = np.random.default_rng(0).permutation(len(photos.vectors))
    query_vectors, base = photos.vectors[rows[:queries]], photos.vectors[rows[queries:]]
    sample, truth = base[:learned_on], query_vectors @ base.T
    exact = nearest(truth)
    print(f"\n{len(base)} photos, {len(query_vectors)} queries, fitted on {len(sample)} photos\n")
    print(
        "| stored | bytes per image | GB per 100 million | recall@10 | error of the top ten cosines | of all cosines |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for name, size, cosines in settings(sample):
        given = cosines(query_vectors, base)
        off = np.take_along_axis(given - truth, exact, axis=1)
        print(
            f"| {name} | {size} | {size / 10:.1f} | {recall(truth, nearest(given)):.4f} | "
            f"{off.mean():+.4f} ± {off.std():.4f} | {(given - truth).mean():+.4f} ± {(given - truth).std():.4f} |"
        )
    print("\n| alternative | recall@10 |\n| --- | --- |")
    for name, cosines in alternatives(sample, 256):
        print(f"| {name} | {recall(truth, nearest(cosines(query_vectors, base))):.4f} |")


def class_tables(photos: Photos, data_sets: list[str], learned_on: int) -> None:
    """Each data set by itself, fitted on photos of all data sets, and on those of the others only."""
    base = np.flatnonzero(~photos.is_query)
    for where in ("all data sets", "the other data sets"):
        columns: dict[str, dict[str, str]] = {}
        for data_set in data_sets:
            allowed = base if where == "all data sets" else base[photos.data_set[base] != data_set]
            columns[data_set] = _judged(photos, data_set, photos.vectors[picked(allowed, learned_on)])
        print(f"\nfitted on {where}: average precision@10 by class, recall@10\n")
        print(f"| stored | {' | '.join(data_sets)} |\n| --- |{' --- |' * len(data_sets)}")
        for name in columns[data_sets[0]]:
            print(f"| {name} | {' | '.join(columns[data_set][name] for data_set in data_sets)} |")


def _judged(photos: Photos, data_set: str, sample: Vectors) -> dict[str, str]:
    own = photos.data_set == data_set
    queries, base = np.flatnonzero(own & photos.is_query), np.flatnonzero(own & ~photos.is_query)
    truth = photos.vectors[queries] @ photos.vectors[base].T
    judged = {}
    for name, _, cosines in settings(sample):
        hits = nearest(cosines(photos.vectors[queries], photos.vectors[base]))
        relevant = photos.label[base][hits] == photos.label[queries][:, np.newaxis]
        judged[name] = f"{average_precision_at(relevant, K):.4f}, {recall(truth, hits):.4f}"
    return judged


def by_id_table(photos: Photos, queries: int, learned_on: int) -> None:
    """The share of a photo's exact neighbours that share a probed sub-code, by embedding and by id."""
    rows = np.random.default_rng(0).permutation(len(photos.vectors))
    query_vectors, base = photos.vectors[rows[:queries]], photos.vectors[rows[queries:]]
    exact, sample = nearest(query_vectors @ base.T), base[:learned_on]
    binarizer = make_binarizer("rotation").fit(sample)
    codes = binarizer.transform(base)
    blocks, cells = Blocks().fit(sample, codes[:learned_on]), Cells().fit(sample, codes[:learned_on])
    spec = EmbedderSpec("any", base.shape[1], 0, "", {})
    block_terms = [set(terms) for terms in blocks.terms(base, codes).tolist()]
    in_cells = _nearest_cells(cells, base, cells.nearest)
    print(f"\nshare of neighbours with a probed sub-code: {PROBES} nearest cells, or {PROBES} probes per block\n")
    print("| stored | cells, by embedding | cells, by id | blocks, by embedding | blocks, by id |")
    print("| --- | --- | --- | --- | --- |")
    for dims, dtype in SETTINGS:
        if dims is None or dims < base.shape[1]:
            encoder = Encoder(spec, binarizer, blocks, RerankVectors(dims, dtype).fit(sample))
            encoded = encoder.encode(query_vectors)
            by_embedding = [encoder.encode_query(embedding) for embedding in query_vectors]
            by_id = [encoder.stored_query(*stored) for stored in zip(encoded.rerank_vectors, encoded.codes)]
            shares = [_in_cells(cells, encoded_queries, in_cells, exact) for encoded_queries in (by_embedding, by_id)]
            shares += [
                _in_blocks(blocks, encoded_queries, block_terms, exact) for encoded_queries in (by_embedding, by_id)
            ]
            print(f"| {encoder.rerank_dims} {dtype} | {' | '.join(f'{share:.4f}' for share in shares)} |")


def _nearest_cells(cells: Cells, embeddings: Vectors, count: int) -> NDArray[np.intp]:
    distances = (cells.centres_**2).sum(axis=1) / 2 - embeddings @ cells.centres_.T
    cells_of_rows: NDArray[np.intp] = distances.argsort(axis=1)[:, :count]
    return cells_of_rows


def _in_cells(cells: Cells, queries: list[EncodedQuery], assigned: NDArray[np.intp], exact: NDArray[np.intp]) -> float:
    probed = _nearest_cells(cells, np.stack([query.embedding for query in queries]), PROBES)
    return float(
        np.mean([np.isin(assigned[rows], cells_probed).any(axis=1) for rows, cells_probed in zip(exact, probed)])
    )


def _in_blocks(blocks: Blocks, queries: list[EncodedQuery], terms: list[set[str]], exact: NDArray[np.intp]) -> float:
    probed = [set(blocks.query_terms(query.code, query.margins, PROBES)) for query in queries]
    return float(
        np.mean([[bool(terms[row] & terms_probed) for row in rows] for rows, terms_probed in zip(exact, probed)])
    )


@click.command()
@click.argument("vectors", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("paths", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--queries", default=1000, show_default=True, help="Queries, from all data sets together.")
@click.option("--learned-on", default=20_000, show_default=True, help="Most photos to fit on.")
@click.option(
    "--data-set", "data_sets", multiple=True, help="Data sets of the tables by class; repeatable.  [default: all]"
)
def main(vectors: Path, paths: Path, queries: int, learned_on: int, data_sets: tuple[str, ...]) -> None:
    """Print what re-rank vectors of fewer dimensions or of bytes lose, as Markdown tables."""
    photos = Photos.read(vectors, paths)
    print(f"{vectors.name}: {len(photos.vectors)} photos, {photos.vectors.shape[1]} dims")
    recall_table(photos, queries, learned_on)
    class_tables(photos, list(data_sets) or sorted(set(photos.data_set.tolist())), learned_on)
    by_id_table(photos, queries, learned_on)


if __name__ == "__main__":
    run_reporting_errors(main)
