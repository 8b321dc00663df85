"""Binarizers at equal bits, the learned hash head among them: `python benchmarks/hash_head.py PLAN.toml`.

PLAN.toml names data sets, as recipes/compare/baselines.toml does. Binarizers learn on the embeddings and classes of the
pictures that are searched (with --unseen on every other class of them, and the rest is asked for); the queries are
pictures that nothing was learned from. Judged by class: average precision@10 of the order by Hamming distance alone,
and of the 100 nearest codes ordered by cosine. Judged by the exact cosine: the share of its first ten that are among
the 100 and the 500 nearest codes.
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
from hashsearch.errors import HashingError
from hashsearch.evaluation.compare.plan import read_plan
from hashsearch.evaluation.data.datasets import DataSet, data_of
from hashsearch.evaluation.data.pictures import Picture
from hashsearch.evaluation.methods.cache import FeatureCaches
from hashsearch.evaluation.methods.features import Network
from hashsearch.evaluation.metrics.ranking import average_precision
from hashsearch.files import safe_name as file_name
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.bits import hamming
from hashsearch.hashing.nearest import top_k
from hashsearch.hashing.vectors import Vectors, normalised

K, FEW, MANY = 10, 100, 500
HEADER = "mAP@10 by codes | of 100 by cosine | cosine's ten among 100 | among 500 | fitted in CPU s"


@dataclass(frozen=True)
class Seen:
    """Embeddings `(n, dims)` of length 1 and their classes `(n,)`: of what is searched, and of what asks.

    `taught (n,)`: which of those that are searched are learned from.
    """

    base: Vectors
    base_labels: NDArray[np.str_]
    taught: NDArray[np.bool_]
    asked: Vectors
    asked_labels: NDArray[np.str_]

    def cosine_order(self) -> NDArray[np.intp]:
        """Rows of the nearest by exact cosine, `(queries, MANY)`."""
        return top_k(self.asked @ self.base.T, MANY)

    def precision(self, order: NDArray[np.intp]) -> float:
        """Mean average precision@10 of an order of rows."""
        relevant = self.base_labels[order[:, :K]] == self.asked_labels[:, None]
        counts = np.array([(self.base_labels == label).sum() for label in self.asked_labels])
        return float(average_precision(relevant, K, counts).mean())


def see(data: DataSet, network: Network, caches: FeatureCaches, unseen: bool) -> Seen:
    """The embeddings of labelled pictures; base in random order, so that equal distances favour no class.

    With `unseen` only every other class is learned from, and only the rest asked for.
    """
    base, base_labels = _embedded(data.base, network, caches)
    asked, asked_labels = _embedded(data.queries, network, caches)
    shuffled = np.random.default_rng(0).permutation(len(base))
    classes = np.unique(base_labels)
    taught = np.isin(base_labels, classes[::2] if unseen else classes)
    known = np.isin(asked_labels, classes[1::2] if unseen else classes)
    return Seen(base[shuffled], base_labels[shuffled], taught[shuffled], asked[known], asked_labels[known])


def _embedded(pictures: Sequence[Picture], network: Network, caches: FeatureCaches) -> tuple[Vectors, NDArray[np.str_]]:
    with tqdm(total=len(pictures), unit=" pictures", leave=False) as bar:
        features = caches.of(network).of(pictures, bar.update).features
    found = [(row, feature) for row, feature in enumerate(features) if feature is not None and pictures[row].label]
    vectors = np.stack([feature for _, feature in found])
    return normalised(vectors), np.array([pictures[row].label for row, _ in found])


def judged(seen: Seen, names: Sequence[str], lengths: Sequence[int]) -> Iterator[str]:
    """A row of the table for each length and binarizer, that of exact cosine first; without figures if it refuses."""
    exact = seen.cosine_order()
    yield f"| exact cosine | | {seen.precision(exact):.3f} | | | | |"
    for bits in lengths:
        for name in names:
            try:
                began = process_time()
                binarizer = make_binarizer(name, bits=bits).fit(seen.base[seen.taught], seen.base_labels[seen.taught])
                took = process_time() - began
            except HashingError as error:
                notify(f"{name} of {bits} bits: {error}")
                continue
            distances = hamming(binarizer.transform(seen.asked), binarizer.transform(seen.base))
            order = top_k(-distances, MANY)
            recalls = [
                np.mean([np.isin(first, found).mean() for first, found in zip(exact[:, :K], order[:, :count])])
                for count in (FEW, MANY)
            ]
            figures = [seen.precision(order), seen.precision(_by_cosine(seen, order[:, :FEW])), *recalls]
            yield f"| {name} | {bits} | {' | '.join(f'{figure:.3f}' for figure in figures)} | {took:.1f} |"


def _by_cosine(seen: Seen, candidates: NDArray[np.intp]) -> NDArray[np.intp]:
    cosines = np.stack([seen.base[rows] @ query for rows, query in zip(candidates, seen.asked)])
    return np.take_along_axis(candidates, np.argsort(-cosines, axis=1, kind="stable"), axis=1)


@click.command()
@click.argument("plan", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data-folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
@click.option(
    "--features", required=True, type=click.Path(path_type=Path), help="Folder to keep embeddings in, and find them."
)
@click.option("--network", "networks", multiple=True, default=("bit-tiny",), show_default=True)
@click.option("--weights", multiple=True, metavar="NETWORK=FILE", help="Of networks that do not ship; repeatable.")
@click.option("--data", multiple=True, help="Only these data sets.  [default: all of the plan]")
@click.option("--binarizer", "names", multiple=True, default=("rotation", "itq", "head"), show_default=True)
@click.option("--bits", "lengths", multiple=True, type=int, default=(32, 64, 128, 256), show_default=True)
@click.option("--unseen", is_flag=True, help="Learn from every other class, ask for the rest.")
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
    known = dict(pair.split("=", 1) for pair in weights)
    read = read_plan(plan, known)
    for network in networks:
        for table in read.data:
            if table["name"] in (data or [table["name"]]):
                data_set = data_of(table, data_folder, read.seed)
                caches = FeatureCaches(features / file_name(data_set.name))
                seen = see(data_set, Network(network, known.get(network)), caches, unseen)
                print(f"\n{network}, {data_set.name}: {seen.base.shape[0]} searched, {seen.asked.shape[0]} queries\n")
                print(f"| binarizer | bits | {HEADER} |\n| --- | --- |{' --- |' * len(HEADER.split('|'))}")
                for row in judged(seen, names, lengths):
                    print(row, flush=True)


if __name__ == "__main__":
    run_reporting_errors(main)
