"""Measuring one built method with one setting: recall, warm latency, throughput, cold start."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ann.exact import recall
from benchmarks.ann.methods import Method, Setting
from benchmarks.ann.vectors import DataSet
from hashsearch.errors import HashsearchError, SearchError
from hashsearch.hashing.vectors import Vectors

_COLD_QUERIES = 50
_LEAST_QUERIES = 100  # per pass, however slow the method
_START_SECONDS = 300  # for all clients to connect


@dataclass(frozen=True)
class Timing:
    """How to measure.

    `warm_up` seconds of other queries come first; a pass runs all queries once, but ends after `most_seconds`; of
    `rounds` passes the one with the lowest median counts. Throughput: `seconds` for each number of `clients`.
    """

    k: int = 10
    warm_up: float = 5.0
    rounds: int = 2
    most_seconds: float = 120.0
    seconds: float = 10.0
    clients: tuple[int, ...] = (1, 4, 16)


def measure(method: Method, data: DataSet, setting: Setting, timing: Timing) -> dict[str, Any]:
    """Recall, sequential latency and throughput of a connected method, as JSON."""
    warm_up(method, data.warm, setting, timing)
    passes = [one_pass(method, data.queries, setting, timing) for _ in range(timing.rounds)]
    seconds, answers = min(passes, key=lambda timed: float(np.median(timed[0])))
    return {
        "recall": judged(data, answers, timing.k),
        "latency_ms": {
            **latencies(seconds),
            "queries": len(seconds),
            "p50_of_passes": [_ms(float(np.median(each))) for each, _ in passes],
        },
        "throughput": {
            str(clients): throughput(method, data.queries, setting, timing, clients) for clients in timing.clients
        },
    }


def warm_up(method: Method, queries: Vectors, setting: Setting, timing: Timing) -> None:
    """Run the warm-up queries for a while, each at least once."""
    deadline = time.perf_counter() + timing.warm_up
    for query in queries:
        method.query(query, timing.k, setting)
    while time.perf_counter() < deadline:
        for query in queries[:20]:
            method.query(query, timing.k, setting)


def one_pass(
    method: Method, queries: Vectors, setting: Setting, timing: Timing
) -> tuple[NDArray[np.float64], list[NDArray[np.int64]]]:
    """Seconds of each query and its answer."""
    seconds, answers = [], []
    began = time.perf_counter()
    for query in queries:
        started = time.perf_counter()
        answers.append(method.query(query, timing.k, setting))
        done = time.perf_counter()
        seconds.append(done - started)
        if done - began > timing.most_seconds and len(seconds) >= _LEAST_QUERIES:
            break
    return np.array(seconds), answers


def judged(data: DataSet, answers: Sequence[NDArray[np.int64]], k: int) -> dict[str, Any]:
    """Recall of the answers to the first queries: mean, quantiles over the queries, and the share without a miss.

    SearchError for an invalid answer.
    """
    if len(data.exact[0]) < k:
        raise SearchError(f"k must be at most {len(data.exact[0])}, the exact neighbours of the data set, got {k}")
    recalls = np.array([recall(data.base, data.queries[i], rows, data.exact[i][:k]) for i, rows in enumerate(answers)])
    levels = (0.01, 0.05, 0.1, 0.25, 0.5)
    return {
        "mean": round(float(recalls.mean()), 5),
        "quantiles": {str(level): round(float(np.quantile(recalls, level)), 4) for level in levels},
        "complete": round(float((recalls == 1).mean()), 5),
    }


def latencies(seconds: NDArray[np.float64]) -> dict[str, float]:
    """Milliseconds: p50, p95, p99, mean."""
    quantiles = {f"p{level}": _ms(float(np.percentile(seconds, level))) for level in (50, 95, 99)}
    return {**quantiles, "mean": _ms(float(seconds.mean()))}


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 4)


def throughput(method: Method, queries: Vectors, setting: Setting, timing: Timing, clients: int) -> dict[str, float]:
    """Queries per second with a number of client processes, and their latencies."""
    context = multiprocessing.get_context("fork")  # the index may live in this process's memory
    barrier = context.Barrier(clients)

    def run_client(number: int, end: Connection) -> None:
        try:
            method.connect()
            own = np.roll(queries, -number * len(queries) // clients, axis=0)
            method.query(own[-1], timing.k, setting)
            barrier.wait(_START_SECONDS)
            end.send(_query_for(timing.seconds, method, own, setting, timing.k))
        except Exception as error:  # the client's process ends here: pass it on to the parent
            barrier.abort()
            end.send(error if isinstance(error, HashsearchError) else SearchError(f"a client failed: {error!r}"))

    ends = []
    for number in range(clients):
        ours, theirs = context.Pipe(duplex=False)
        context.Process(target=run_client, args=(number, theirs), daemon=True).start()
        theirs.close()
        ends.append(ours)
    measured = [_received(end) for end in ends]
    for result in measured:
        if isinstance(result, HashsearchError):
            raise result
    seconds = np.concatenate([each for each, _ in measured])
    rate = sum(len(each) / elapsed for each, elapsed in measured)
    return {"qps": round(rate, 2), **latencies(seconds)}


def _received(end: Connection) -> Any:
    try:
        return end.recv()
    except EOFError:
        return SearchError("a client's process ended without an answer")


def _query_for(
    seconds: float, method: Method, queries: Vectors, setting: Setting, k: int
) -> tuple[NDArray[np.float64], float]:
    """Seconds of each query run within a time, at least one, and of all of them together."""
    taken: list[float] = []
    began = time.perf_counter()
    while not taken or time.perf_counter() - began < seconds:
        started = time.perf_counter()
        method.query(queries[len(taken) % len(queries)], k, setting)
        taken.append(time.perf_counter() - started)
    return np.array(taken), time.perf_counter() - began


def cold(method: Method, data: DataSet, setting: Setting, k: int) -> dict[str, float]:
    """Milliseconds of the first query after a cold start, and the median of the first 50."""
    method.restart()
    method.connect()
    seconds = []
    for query in data.queries[:_COLD_QUERIES]:
        started = time.perf_counter()
        method.query(query, k, setting)
        seconds.append(time.perf_counter() - started)
    return {"first": _ms(seconds[0]), "p50_of_first_50": _ms(float(np.median(seconds)))}
