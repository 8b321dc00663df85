"""The images of catalogs, embedded, mapped and clustered, as a table for Spotlight in which a person labels them.

Beside it is a CSV file with a row for each cluster, to write the names into. The module `naming` reads both back.
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
from hashsearch.files import atomic_file
from hashsearch.hashing.vectors import Vectors, is_normalizable
from hashsearch.images.decoding import thumbnail
from hashsearch.images.sources import DEFAULT_READER, ImageReader
from hashsearch.overlap import prefetch

if TYPE_CHECKING:
    from hashsearch.embedders import Embedder

SIDE = 128  # pixels of a thumbnail
_WORKERS = 4
_AHEAD = 64  # thumbnails made before they are written
_LISTED = 3  # known labels listed for a cluster


@dataclass(frozen=True)
class Exported:
    """What an export wrote and left out: `alone` images are in no cluster, `placed` ones have t-SNE coordinates."""

    table: Path
    names: Path
    images: int
    clusters: int
    alone: int
    placed: int
    problems: list[LeftOut]

    def __str__(self) -> str:
        alone = f" and {self.alone} in none" if self.alone else ""
        return (
            f"{self.table}: {self.images} images in {self.clusters} clusters{alone}, "
            f"{self.placed} mapped by t-SNE, {len(self.problems)} left out; write names to {self.names}"
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
    reader: ImageReader = DEFAULT_READER,
    progress: Callable[[int], object],
) -> Exported:
    """Write the table of the catalogs' images to `out`, and the list of clusters beside it.

    At most `sample` random entries are exported (None: all), and at most `most_placed` of them get coordinates by
    t-SNE, which is slow. `progress` is called with the number of entries just embedded. EvaluationError if `out` is not
    a `.parquet` file, if a file would be overwritten, or if there is nothing to cluster.
    """
    check_free(out)
    entries, vectors, problems = _embed(*_sample(catalogs, sample, seed), embedder, reader, progress)
    points = components(vectors, seed)
    if points is None:
        raise EvaluationError(f"clustering needs at least four images, not all the same, got {len(entries)}")
    clusters = clustering.find(points, seed)
    rows = sampled(len(points), seed, most_placed)
    tsne = np.full((len(points), 2), np.nan)
    tsne[rows] = placed(points[rows], seed)
    about = {"embedder": embedder.name, "weights": embedder.digest, "clusters": repr(clustering), "seed": seed}
    write_table(out, _rows(entries, vectors, clusters, points[:, :2], tsne, _thumbnails(entries, reader)), about)
    _write_names(names_of(out), entries, clusters)
    alone = int((clusters.numbers == ALONE).sum())
    return Exported(out, names_of(out), len(points), clusters.count, alone, len(rows), problems)


def names_of(table: Path) -> Path:
    """The path of a table's list of clusters."""
    return table.with_suffix(".names.csv")


def check_free(out: Path) -> None:
    """EvaluationError unless the table and the list of clusters can be written; to be called before the work."""
    if out.suffix != ".parquet":
        raise EvaluationError(f"the table must be a .parquet file, got '{out.name}'")
    for path in (out, names_of(out)):
        if path.exists():
            raise EvaluationError(f"{path} exists, and labels are never overwritten: choose another --out")


def _sample(catalogs: Sequence[Catalog], count: int | None, seed: int) -> tuple[list[Entry], list[LeftOut]]:
    """At most `count` random entries of all the catalogs, in order, and the rows that are not entries."""
    entries: dict[str, Entry] = {}
    problems = []
    for catalog in catalogs:
        for entry in catalog:
            if isinstance(entry, BadEntry):
                problems.append(LeftOut(entry.id or str(catalog.path), entry.reason))
            elif entry.id in entries:
                problems.append(LeftOut(entry.id, f"the id is also that of {entries[entry.id].source}"))
            else:
                entries[entry.id] = entry
    chosen = list(entries.values())
    if count is not None and count < len(chosen):
        chosen = [chosen[row] for row in sorted(random.Random(seed).sample(range(len(chosen)), count))]
    return chosen, problems


def _embed(
    entries: Sequence[Entry],
    problems: list[LeftOut],
    embedder: Embedder,
    reader: ImageReader,
    progress: Callable[[int], object],
) -> tuple[list[Entry], Vectors, list[LeftOut]]:
    """The entries that could be embedded, their vectors `(n, dims)`, and `problems` with those of the others."""
    vectors: dict[str, NDArray[np.float32]] = {}
    reasons: dict[str, str] = {}
    for batch in embed_sources(embedder, dict.fromkeys(entry.source for entry in entries), reader):
        vectors |= dict(zip(batch.sources, batch.vectors, strict=True))
        reasons |= {source: str(error) for source, error in batch.errors.items()}
        progress(len(batch.sources) + len(batch.errors))
    for source, vector in vectors.items():
        if not is_normalizable(vector[np.newaxis])[0]:
            reasons[source] = "unusable embedding: zero, NaN or infinite"
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
    thumbnails: Iterable[bytes | None],
) -> Iterator[dict[str, Any]]:
    """A row for each entry, as `write_table` takes it; the label starts as the known category."""
    for row, (entry, small) in enumerate(zip(entries, thumbnails, strict=True)):
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


def _thumbnails(entries: Iterable[Entry], reader: ImageReader) -> Iterator[bytes | None]:
    """A JPEG of each image, in order, a limited number made ahead."""
    with ThreadPoolExecutor(_WORKERS, "thumbnail") as pool:
        for future in prefetch(entries, lambda entry: pool.submit(_thumbnail, entry.source, reader), _AHEAD):
            yield future.result()


def _thumbnail(source: str, reader: ImageReader) -> bytes | None:
    try:
        with reader.decoded(reader.read(source)) as image:
            return thumbnail(image, SIDE)
    except HashsearchError:
        return None  # it was deleted since it was embedded; its row can still be labelled


def _write_names(path: Path, entries: Sequence[Entry], clusters: Clusters) -> None:
    """Write a row for each cluster: its size and most frequent categories, with the label left empty."""
    known: dict[int, Counter[str]] = defaultdict(Counter)
    for entry, number in zip(entries, clusters.numbers.tolist(), strict=True):
        known[number][entry.category or ""] += 1
    with atomic_file(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["cluster", "id", "label", "pictures", "known"])
        for number in range(clusters.count):
            labels = [f"{label} {count}" for label, count in known[number].most_common() if label][:_LISTED]
            writer.writerow([number, "", "", known[number].total(), ", ".join(labels)])
