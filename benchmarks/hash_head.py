"""Binarizers at equal bits, the learned hash head among them: `python benchmarks/hash_head.py PLAN.toml`.

PLAN.toml names data sets, as recipes/compare/baselines.toml does. Binarizers learn from the embeddings and classes of
the pictures that are searched (with --unseen from every other class, and the queries are of the others); nothing is
learned from the queries. Figures by class: average precision@10 of the order by Hamming distance alone, and of the 100
nearest codes ordered by cosine. Figures by exact cosine: the share of its first ten that are among the 100 and the 500
nearest codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hashsearch.cli.running import notify, run_reporting_errors
from hashsearch.embedders import import_tensorflow
from hashsearch.errors import HashingError
from hashsearch.evaluation.compare.plan import read_plan
from hashsearch.evaluation.data.datasets import DataSet, data_of
from hashsearch.evaluation.data.pictures import Picture
from hashsearch.evaluation.methods.cache import FeatureCaches
from hashsearch.evaluation.methods.features import NetworkFeatures
from hashsearch.evaluation.metrics.ranking import average_precision
from hashsearch.files import safe_name as file_name
from hashsearch.hashing.bits import hamming
from hashsearch.hashing.nearest import top_k
from hashsearch.hashing.vectors import Vectors, normalised
from hashsearch.training.hash_head import make_binarizer

K, FEW, MANY = 10, 100, 500
HEADER = "mAP@10 by codes | of 100 by cosine | cosine's ten among 100 | among 500 | fitted in CPU s"


@dataclass(frozen=True)
class LabelledVectors:
    """Embeddings `(n, dims)` of length 1 and their classes `(n,)`, of the pictures searched and of the queries.

    `learned (n,)` are the pictures to learn from.
    """

    base: Vectors
    base_labels: NDArray[np.str_]
    learned: NDArray[np.bool_]
    queries: Vectors
    query_labels: NDArray[np.str_]

    def cosine_order(self) -> NDArray[np.intp]:
        """Rows of the nearest by exact cosine, `(queries, MANY)`."""
        return top_k(self.queries @ self.base.T, MANY)

    def precision(self, order: NDArray[np.intp]) -> float:
        """Mean average precision@10 of an order of rows."""
        relevant = self.base_labels[order[:, :K]] == self.query_labels[:, None]
        counts = np.array([(self.base_labels == label).sum() for label in self.query_labels])
        return float(average_precision(relevant, K, counts).mean())


def read_vectors(data: DataSet, network: NetworkFeatures, caches: FeatureCaches, unseen: bool) -> LabelledVectors:
    """The embeddings of labelled pictures; the base is in random order, so that ties favour no class.

    With `unseen` every other class is learned from, and the queries are of the others.
    """
    base, base_labels = _embedded(data.base, network, caches)
    queries, query_labels = _embedded(data.queries, network, caches)
    shuffled = np.random.default_rng(0).permutation(len(base))
    classes = np.unique(base_labels)
    learned = np.isin(base_labels, classes[::2] if unseen else classes)
    known = np.isin(query_labels, classes[1::2] if unseen else classes)
    return LabelledVectors(
        base[shuffled], base_labels[shuffled], learned[shuffled], queries[known], query_labels[known]
    )


def _embedded(
    pictures: Sequence[Picture], network: NetworkFeatures, caches: FeatureCaches
) -> tuple[Vectors, NDArray[np.str_]]:
    with tqdm(total=len(pictures), unit=" pictures", leave=False) as bar:
        features = caches.of(network).of(pictures, bar.update).features
    labelled = [(row, feature) for row, feature in enumerate(features) if feature is not None and pictures[row].label]
    vectors = np.stack([feature for _, feature in labelled])
    return normalised(vectors), np.array([pictures[row].label for row, _ in labelled])


def table_rows(embedded: LabelledVectors, names: Sequence[str], lengths: Sequence[int]) -> Iterator[str]:
    """A row of the table for each length and binarizer, after that of exact cosine; binarizers that fail have none."""
    exact = embedded.cosine_order()
    yield f"| exact cosine | | {embedded.precision(exact):.3f} | | | | |"
    for bits in lengths:
        for name in names:
            try:
                began = process_time()
                binarizer = make_binarizer(name, bits=bits).fit(
                    embedded.base[embedded.learned], embedded.base_labels[embedded.learned]
                )
                took = process_time() - began
            except HashingError as error:
                notify(f"{name} of {bits} bits: {error}")
                continue
            distances = hamming(binarizer.transform(embedded.queries), binarizer.transform(embedded.base))
            order = top_k(-distances, MANY)
            recalls = [
                np.mean([np.isin(first, rows).mean() for first, rows in zip(exact[:, :K], order[:, :count])])
                for count in (FEW, MANY)
            ]
            figures = [embedded.precision(order), embedded.precision(_by_cosine(embedded, order[:, :FEW])), *recalls]
            yield f"| {name} | {bits} | {' | '.join(f'{figure:.3f}' for figure in figures)} | {took:.1f} |"


def _by_cosine(embedded: LabelledVectors, candidates: NDArray[np.intp]) -> NDArray[np.intp]:
    cosines = np.stack([embedded.base[rows] @ query for rows, query in zip(candidates, embedded.queries)])
    return np.take_along_axis(candidates, np.argsort(-cosines, axis=1, kind="stable"), axis=1)


@click.command()
@click.argument("plan", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data-folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
@click.option("--features", required=True, type=click.Path(path_type=Path), help="Folder that keeps the embeddings.")
@click.option("--network", "networks", multiple=True, default=("bit-tiny",), show_default=True)
@click.option("--weights", multiple=True, metavar="NETWORK=FILE", help="Of networks that do not ship; repeatable.")
@click.option("--data", multiple=True, help="Only these data sets.  [default: all of the plan]")
@click.option("--binarizer", "names", multiple=True, default=("rotation", "itq", "head"), show_default=True)
@click.option("--bits", "lengths", multiple=True, type=int, default=(32, 64, 128, 256), show_default=True)
@click.option("--unseen", is_flag=True, help="Learn from every other class, query the others.")
def main(
    plan: Path,
    data_folder: Path,
    features: Path,
    networks: Sequence[str],
    weights: Sequence[str],
    data: Sequence[str],
    names: Sequence[str],
    lengths: Sequence[int],
    unseen: bool,
) -> None:
    """Print a table in Markdown for each network and data set."""
    import_tensorflow()  # not a part of the first fit
    known = dict(pair.split("=", 1) for pair in weights)
    read = read_plan(plan, known)
    for network in networks:
        for table in read.data:
            if table["name"] in (data or [table["name"]]):
                data_set = data_of(table, data_folder, read.seed)
                caches = FeatureCaches(features / file_name(data_set.name))
                embedded = read_vectors(data_set, NetworkFeatures(network, known.get(network)), caches, unseen)
                counts = f"{len(embedded.base)} searched, {len(embedded.queries)} queries"
                print(f"\n{network}, {data_set.name}: {counts}\n")
                print(f"| binarizer | bits | {HEADER} |\n| --- | --- |{' --- |' * len(HEADER.split('|'))}")
                for row in table_rows(embedded, names, lengths):
                    print(row, flush=True)


if __name__ == "__main__":
    run_reporting_errors(main)
