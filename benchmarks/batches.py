"""How much faster queries run in batches than one by one: `python benchmarks/batches.py --index NAME`.

The queries are the vectors of random indexed images, with the default options. The variants take turns, `--rounds`
times each; the fastest run counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product

import click
import numpy as np

from hashsearch.cli.options import with_settings
from hashsearch.cli.running import run_reporting_errors
from hashsearch.config import Settings
from hashsearch.services import open_searcher


@click.command()
@with_settings("index", "encoder", "es_url", "home")
@click.option("--queries", default=512, show_default=True, help="Images to search with.")
@click.option("--strategy", default=None, help="Search strategy.  [default: the tuned or built-in one]")
@click.option("--no-explain", is_flag=True, help="Return only hits and cosines, without Hamming distances.")
@click.option(
    "--together",
    multiple=True,
    type=int,
    default=(4, 16, 64),
    show_default=True,
    help="Queries per request; repeatable.",
)
@click.option(
    "--at-once",
    multiple=True,
    type=int,
    default=(1, 2, 4, 8),
    show_default=True,
    help="Concurrent requests; repeatable.",
)
@click.option("--rounds", default=3, show_default=True, help="Runs of each variant.")
def main(
    settings: Settings,
    queries: int,
    strategy: str | None,
    no_explain: bool,
    together: tuple[int, ...],
    at_once: tuple[int, ...],
    rounds: int,
) -> None:
    """Print queries per second, one by one and for each batch size and number of concurrent requests."""
    from hashsearch.evaluation.live.exact import directions, stored_vectors
    from hashsearch.search.planner import SearchOptions

    searcher, options = open_searcher(settings), SearchOptions(strategy=strategy, explain=not no_explain)
    index = searcher.index
    stored = directions(stored_vectors(index, [*index.sample(queries)]))
    vectors = searcher.encoder.rerank_vectors.reconstruct(stored)

    def batched(size: int, concurrent: int) -> Callable[[], object]:
        return lambda: list(searcher.search_many(vectors, options, together=size, at_once=concurrent))

    variants: dict[str, Callable[[], object]] = {
        "one by one": lambda: [searcher.by_vector(vector, options) for vector in vectors]
    }
    for size, concurrent in product(together, at_once):
        variants[f"{size:3} together, {concurrent} at once"] = batched(size, concurrent)
    seconds = dict.fromkeys(variants, np.inf)
    for _ in range(rounds):
        for name, run in variants.items():
            began = time.perf_counter()
            run()
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    strategy = searcher.planner.strategy(options)
    distances = "without" if no_explain else "with"
    print(f"{index.count()} images, {strategy}, {len(vectors)} queries {distances} Hamming distances")
    for name, taken in seconds.items():
        print(f"{name:24} {len(vectors) / taken:7.0f} queries/s, x{seconds['one by one'] / taken:.2f}")


if __name__ == "__main__":
    run_reporting_errors(main)
