"""What many queries at once gain over one by one: `python benchmarks/batches.py --index NAME`.

Indexed images picked at random are searched with as vectors, with the default options. Each way runs `--rounds` times,
in turn with the others; the quickest counts.
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
@click.option("--strategy", default=None, help="Strategy.  [default: the product's]")
@click.option("--no-explain", is_flag=True, help="Only the hits and their cosines.")
@click.option("--together", multiple=True, type=int, default=(4, 16, 64), show_default=True, help="Of one request.")
@click.option("--at-once", multiple=True, type=int, default=(1, 2, 4, 8), show_default=True, help="Searches at a time.")
@click.option("--rounds", default=3, show_default=True, help="Times that each way is measured.")
def main(
    settings: Settings,
    queries: int,
    strategy: str | None,
    no_explain: bool,
    together: tuple[int, ...],
    at_once: tuple[int, ...],
    rounds: int,
) -> None:
    """Print queries a second, one by one and with each number in a request and at a time."""
    from hashsearch.evaluation.live.exact import directions, stored_vectors
    from hashsearch.search.searcher import SearchOptions

    searcher, options = open_searcher(settings), SearchOptions(strategy=strategy, explain=not no_explain)
    index = searcher.index
    stored = directions(stored_vectors(index, [*index.sample(queries)]))
    vectors = searcher.encoder.rerank_vectors.reconstruct(stored)

    def many(in_one: int, at_a_time: int) -> Callable[[], object]:
        return lambda: list(searcher.search_many(vectors, options, together=in_one, at_once=at_a_time))

    ways: dict[str, Callable[[], object]] = {
        "one by one": lambda: [searcher.by_vector(vector, options) for vector in vectors]
    }
    ways |= {f"{one:3} together, {other} at once": many(one, other) for one, other in product(together, at_once)}
    seconds = dict.fromkeys(ways, np.inf)
    for _ in range(rounds):
        for name, run in ways.items():
            began = time.perf_counter()
            run()
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    strategy = searcher.planner.strategy(options)
    print(f"{index.count()} images, {strategy}, {len(vectors)} queries{' not' if no_explain else ''} explained")
    for name, taken in seconds.items():
        print(f"{name:24} {len(vectors) / taken:7.0f} queries/s, x{seconds['one by one'] / taken:.2f}")


if __name__ == "__main__":
    run_reporting_errors(main)
