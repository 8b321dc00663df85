"""Binarizers at equal code length, among them the learned hash head: `python benchmarks/hash_head.py PLAN.toml`.

PLAN.toml names data sets, as recipes/compare/baselines.toml does. Binarizers are fitted on the embeddings and classes
of the searched pictures (with --unseen on every other class, and only the other classes are queried), never on queries.
By class: mAP@10 by Hamming distance alone, and of the 100 nearest codes re-ranked by cosine. Against exact cosine: the
share of its top ten among the 100 and the 500 nearest codes.
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
HEADER = "mAP@10 by codes | of 100 by cosine | cosine's top 10 among 100 | among 500 | fit, CPU s"


@dataclass(frozen=True)
class LabelledVectors:
    """Unit embeddings `(n, dims)` and classes `(n,)` of the searched pictures (`base`) and of the queries.

    `taught (n,)` marks the rows of `base` that binarizers are fitted on.
    """

    base: Vectors
    base_labels: NDArray[np.str_]
    taught: NDArray[np.bool_]
    queries: Vectors
    query_labels: NDArray[np.str_]

    def cosine_order(self) -> NDArray[np.intp]:
        """Rows of the nearest by exact cosine, nearest first: `(queries, MANY)`."""
        return top_k(self.queries @ self.base.T, MANY)

    def precision(self, order: NDArray[np.intp]) -> float:
        """mAP@10 of a ranking of rows `(queries, at least K)`."""
        relevant = self.base_labels[order[:, :K]] == self.query_labels[:, None]
        counts = np.array([(self.base_labels == label).sum() for label in self.query_labels])
        return float(average_precision(relevant, K, counts).mean())


def embed_data_set(data: DataSet, network: NetworkFeatures, caches: FeatureCaches, unseen: bool) -> LabelledVectors:
    """The embeddings of labelled pictures; base in random order, so that equal distances favour no class.

    With `unseen` only every other class is learned from, and only the others are queried.
    """
    base, base_labels = _embedded(data.base, network, caches)
    queries, query_labels = _embedded(data.queries, network, caches)
    shuffled = np.random.default_rng(0).permutation(len(base))
    classes = np.unique(base_labels)
    taught = np.isin(base_labels, classes[::2] if unseen else classes)
    queried = np.isin(query_labels, classes[1::2] if unseen else classes)
    return LabelledVectors(
        base[shuffled], base_labels[shuffled], taught[shuffled], queries[queried], query_labels[queried]
    )


def _embedded(
    pictures: Sequence[Picture], network: NetworkFeatures, caches: FeatureCaches
) -> tuple[Vectors, NDArray[np.str_]]:
    with tqdm(total=len(pictures), unit=" pictures", leave=False) as bar:
        features = caches.of(network).of(pictures, bar.update).features
    found = [(row, feature) for row, feature in enumerate(features) if feature is not None and pictures[row].label]
    vectors = np.stack([feature for _, feature in found])
    return normalised(vectors), np.array([pictures[row].label for row, _ in found])


def judged(vectors: LabelledVectors, names: Sequence[str], lengths: Sequence[int]) -> Iterator[str]:
    """A table row for exact cosine, then one for each length and binarizer; those that cannot be fitted are skipped."""
    exact = vectors.cosine_order()
    yield f"| exact cosine | | {vectors.precision(exact):.3f} | | | | |"
    for bits in lengths:
        for name in names:
            try:
                began = process_time()
                binarizer = make_binarizer(name, bits=bits).fit(
                    vectors.base[vectors.taught], vectors.base_labels[vectors.taught]
                )
                took = process_time() - began
            except HashingError as error:
                notify(f"{name} of {bits} bits: {error}")
                continue
            distances = hamming(binarizer.transform(vectors.queries), binarizer.transform(vectors.base))
            order = top_k(-distances, MANY)
            recalls = [
                np.mean([np.isin(first, found).mean() for first, found in zip(exact[:, :K], order[:, :count])])
                for count in (FEW, MANY)
            ]
            figures = [vectors.precision(order), vectors.precision(_by_cosine(vectors, order[:, :FEW])), *recalls]
            yield f"| {name} | {bits} | {' | '.join(f'{figure:.3f}' for figure in figures)} | {took:.1f} |"


def _by_cosine(vectors: LabelledVectors, candidates: NDArray[np.intp]) -> NDArray[np.intp]:
    cosines = np.stack([vectors.base[rows] @ query for rows, query in zip(candidates, vectors.queries)])
    return np.take_along_axis(candidates, np.argsort(-cosines, axis=1, kind="stable"), axis=1)


@click.command()
@click.argument("plan", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data-folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
@click.option("--features", required=True, type=click.Path(path_type=Path), help="Folder that caches the embeddings.")
@click.option("--network", "networks", multiple=True, default=("bit-tiny",), show_default=True)
@click.option(
    "--weights", multiple=True, metavar="NETWORK=FILE", help="Weights of networks that are not bundled; repeatable."
)
@click.option("--data", multiple=True, help="Only these data sets; repeatable.  [default: all of the plan]")
@click.option("--binarizer", "names", multiple=True, default=("rotation", "itq", "head"), show_default=True)
@click.option("--bits", "lengths", multiple=True, type=int, default=(32, 64, 128, 256), show_default=True)
@click.option("--unseen", is_flag=True, help="Fit on every other class, query the others.")
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
    """Print a Markdown table for each network and data set."""
    import_tensorflow("to train the head")  # not a part of the first fit
    known = dict(pair.split("=", 1) for pair in weights)
    read = read_plan(plan, known)
    for network in networks:
        for table in read.data:
            if table["name"] in (data or [table["name"]]):
                data_set = data_of(table, data_folder, read.seed)
                caches = FeatureCaches(features / file_name(data_set.name))
                vectors = embed_data_set(data_set, NetworkFeatures(network, known.get(network)), caches, unseen)
                print(f"\n{network}, {data_set.name}: {len(vectors.base)} searched, {len(vectors.queries)} queries\n")
                print(f"| binarizer | bits | {HEADER} |\n| --- | --- |{' --- |' * len(HEADER.split('|'))}")
                for row in judged(vectors, names, lengths):
                    print(row, flush=True)


if __name__ == "__main__":
    run_reporting_errors(main)
