"""Catalogs to what a person labels: their pictures, embedded, mapped and clustered, as a table for Spotlight.

Beside it lies a CSV file with a row for each cluster, to write the names into. The module `naming` reads both back.
"""

from __future__ import annotations

import csv
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.catalog.reading import BadEntry, Catalog, Entry
from hashsearch.embedders.bulk import embed_sources
from hashsearch.errors import EvaluationError, HashsearchError
from hashsearch.evaluation.data.pictures import LeftOut
from hashsearch.evaluation.labelling.clusters import ALONE, Clustering, Clusters
from hashsearch.evaluation.labelling.tables import write_table
from hashsearch.evaluation.metrics.projection import components, placed, sampled
from hashsearch.hashing.vectors import Vectors, is_normalizable
from hashsearch.images.decoding import thumbnail
from hashsearch.images.sources import DEFAULT_READER
from hashsearch.overlap import prefetch

if TYPE_CHECKING:
    from hashsearch.embedders import Embedder

SIDE = 128  # pixels of a thumbnail
_WORKERS = 4
_AHEAD = 64  # thumbnails begun before they are written
_TOLD = 3  # known labels of a cluster


@dataclass(frozen=True)
class Exported:
    """What an export wrote, and what it left out. `alone` pictures are in no cluster, `placed` ones on the map."""

    table: Path
    names: Path
    pictures: int
    clusters: int
    alone: int
    placed: int
    problems: list[LeftOut]

    def __str__(self) -> str:
        alone = f" and {self.alone} in none" if self.alone else ""
        return (
            f"{self.table}: {self.pictures} pictures in {self.clusters} clusters{alone}, "
            f"{self.placed} mapped by t-SNE, {len(self.problems)} left out; to be named in {self.names}"
        )


def export(
    catalogs: Sequence[Catalog],
    embedder: Embedder,
    clustering: Clustering,
    out: Path,
    *,
    sample: int | None = None,
    most_placed: int = 5000,
    seed: int = 0,
    progress: Callable[[int], object],
) -> Exported:
    """Write the table of the catalogs' pictures to `out`, and the list of clusters beside it.

    At most `sample` entries are taken, all if None, and at most `most_placed` of them get coordinates by t-SNE, which
    takes long: both are drawn by the seed. `progress` hears how many more entries were seen. EvaluationError where
    `out` is no `.parquet`, where a file would be overwritten, and where there is nothing to cluster.
    """
    check_free(out)
    entries, vectors, problems = _seen(*_chosen(catalogs, sample, seed), embedder, progress)
    found = components(vectors, seed)
    if found is None:
        raise EvaluationError(f"clusters are found among four pictures that differ, or more, got {len(entries)}")
    clusters = clustering.find(found, seed)
    rows = sampled(len(found), seed, most_placed)
    tsne = np.full((len(found), 2), np.nan)
    tsne[rows] = placed(found[rows], seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    about = {"embedder": embedder.name, "weights": embedder.digest, "clusters": repr(clustering), "seed": seed}
    write_table(out, _rows(entries, vectors, clusters, found[:, :2], tsne), about)
    _write_names(names_of(out), entries, clusters)
    alone = int((clusters.numbers == ALONE).sum())
    return Exported(out, names_of(out), len(found), clusters.count, alone, len(rows), problems)


def names_of(table: Path) -> Path:
    """Where the list of clusters of a table lies."""
    return table.with_suffix(".names.csv")


def check_free(out: Path) -> None:
    """Raises EvaluationError unless the table and the list of clusters can be written: before the work, not after."""
    if out.suffix != ".parquet":
        raise EvaluationError(f"the table must be a .parquet file, by which Spotlight knows it, got '{out.name}'")
    for path in (out, names_of(out)):
        if path.exists():
            raise EvaluationError(f"what a person labelled is never overwritten, and {path} exists")


def _chosen(catalogs: Sequence[Catalog], count: int | None, seed: int) -> tuple[list[Entry], list[LeftOut]]:
    """At most `count` entries of all the catalogs, each as likely as the other, in order; and what is no entry."""
    entries: dict[str, Entry] = {}
    problems = []
    for catalog in catalogs:
        for entry in catalog:
            if isinstance(entry, BadEntry):
                problems.append(LeftOut(entry.id or str(catalog.path), entry.reason))
            elif entry.id in entries:
                problems.append(
                    LeftOut(entry.id, f"an id may come once, this one is that of {entries[entry.id].source}")
                )
            else:
                entries[entry.id] = entry
    found = list(entries.values())
    if count is not None and count < len(found):
        found = [found[place] for place in sorted(random.Random(seed).sample(range(len(found)), count))]
    return found, problems


def _seen(
    entries: Sequence[Entry], problems: list[LeftOut], embedder: Embedder, progress: Callable[[int], object]
) -> tuple[list[Entry], Vectors, list[LeftOut]]:
    """The entries that are pictures, their vectors `(n, dims)`, and the problems with those of the others."""
    vectors: dict[str, NDArray[np.float32]] = {}
    reasons: dict[str, str] = {}
    for batch in embed_sources(embedder, dict.fromkeys(entry.source for entry in entries)):
        vectors |= dict(zip(batch.sources, batch.vectors, strict=True))
        reasons |= {source: str(error) for source, error in batch.errors.items()}
        progress(len(batch.sources) + len(batch.errors))
    for source, vector in vectors.items():
        if not is_normalizable(vector[np.newaxis])[0]:
            reasons[source] = "a vector must be finite numbers, not all zero, but the network gave others"
    kept = [entry for entry in entries if entry.source not in reasons]
    left_out = [LeftOut(entry.id, reasons[entry.source]) for entry in entries if entry.source in reasons]
    stacked = np.stack([vectors[entry.source] for entry in kept]) if kept else np.empty((0, embedder.dims), np.float32)
    return kept, stacked, [*problems, *left_out]


def _rows(
    entries: Sequence[Entry],
    vectors: Vectors,
    clusters: Clusters,
    pca: NDArray[np.floating],
    tsne: NDArray[np.floating],
) -> Iterator[dict[str, Any]]:
    """What `write_table` takes, a row for each entry; a label that is known already stands there to be changed."""
    for row, (entry, small) in enumerate(zip(entries, _thumbnails(entries), strict=True)):
        numbers = (float(clusters.certainty[row]), *map(float, pca[row]), *map(float, tsne[row]))
        named = zip(("certainty", "pca_x", "pca_y", "tsne_x", "tsne_y"), numbers, strict=True)
        yield {
            "id": entry.id,
            "source": entry.source,
            "title": entry.title,
            "category": entry.category,
            "label": entry.category or "",
            "cluster": int(clusters.numbers[row]),
            **{name: number if np.isfinite(number) else None for name, number in named},
            "embedding": vectors[row],
            "thumbnail": small,
        }


def _thumbnails(entries: Iterable[Entry]) -> Iterator[bytes | None]:
    """A JPEG of each picture, in order; they are made ahead, and only so many are in memory."""
    with ThreadPoolExecutor(_WORKERS, "thumbnail") as pool:
        for future in prefetch(entries, lambda entry: pool.submit(_thumbnail, entry.source), _AHEAD):
            yield future.result()


def _thumbnail(source: str) -> bytes | None:
    try:
        return thumbnail(DEFAULT_READER.pixels(source), SIDE)
    except HashsearchError:
        return None  # it was there when it was embedded: its row can be labelled without


def _write_names(path: Path, entries: Sequence[Entry], clusters: Clusters) -> None:
    """A row for each cluster: how many pictures, which known labels; the label is left for a person to write."""
    known: dict[int, Counter[str]] = defaultdict(Counter)
    for entry, number in zip(entries, clusters.numbers.tolist(), strict=True):
        known[number][entry.category or ""] += 1
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["cluster", "id", "label", "pictures", "known"])
        for number in range(clusters.count):
            labels = [f"{label} {count}" for label, count in known[number].most_common() if label][:_TOLD]
            writer.writerow([number, "", "", known[number].total(), ", ".join(labels)])
