"""The cheapest search settings that reach a recall, found by measuring settings on the index itself.

Recall is measured against exact cosine over all stored re-rank vectors, without filters; time is that of one client
that sends one query after the other, with the options that users have by default. A setting reaches the target only
if the lower end of its interval does: among many settings some look better than they are, and few queries prove little.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.elastic.tuned import Tuned
from hashsearch.errors import EvaluationError
from hashsearch.evaluation.live.exact import nearest, nearest_to, share_found, stored_vectors
from hashsearch.evaluation.metrics.statistics import Estimate, intervals, quantile_interval, share_interval
from hashsearch.hashing.sub_codes import Blocks
from hashsearch.hashing.vectors import Vectors, normalised
from hashsearch.progress import Progress, no_progress, tracked
from hashsearch.provenance import now
from hashsearch.search.planner import MAX_TERMS, SearchOptions, SearchQuery
from hashsearch.search.searcher import Searcher

LADDER = (20, 50, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 10_000)  # candidates
_SHARES = (5, 10, 20, 40, 80, 160, 320)  # with cells 1/5 to 1/320 of the codes are compared
_PROBES = (128, 64, 32, 16, 8, 4)
_WARM_UP = 20  # searches before the timed ones
_SEED = 0


@dataclass(frozen=True)
class Sample:
    """Queries, and the cosines `(queries, k)` of the images truly nearest to each, best first."""

    queries: Sequence[SearchQuery]
    exact: NDArray[np.float32]


def of_index(searcher: Searcher, count: int, k: int, progress: Progress = no_progress) -> Sample:
    """Queries by at most `count` random indexed images, each excluded from its own hits."""
    index = searcher.index
    stored = stored_vectors(index, [*index.sample(min(count, _count_images(searcher)))])
    queries = [searcher.stored_query(image_id, vectors) for image_id, vectors in stored.items()]
    return Sample(queries, nearest(index, stored, k, progress))


def of_vectors(searcher: Searcher, vectors: Vectors, k: int, progress: Progress = no_progress) -> Sample:
    """Queries by vectors `(n, dims)` of images that are not in the index."""
    _count_images(searcher)
    if not len(vectors):
        raise EvaluationError("tuning needs at least one query, got none")
    queries = [SearchQuery(searcher.encoder.encode_query(vector)) for vector in vectors]
    rerank_vectors = np.stack([query.encoded.rerank_vector for query in queries]).astype(np.float32)
    return Sample(queries, nearest_to(searcher.index, normalised(rerank_vectors), k, progress=progress))


def _count_images(searcher: Searcher) -> int:
    """How many images the index holds; EvaluationError for fewer than two, which leave nothing to find."""
    images = searcher.index.count()
    if images < 2:
        raise EvaluationError(
            f"an index must hold at least 2 images to be tuned, and '{searcher.index.alias}' holds {images}"
        )
    return images


@dataclass(frozen=True)
class Trial:
    """A setting and its measurement: mean recall, and median and 95th percentile of the time in milliseconds.

    The recall's interval is the wider of two at either end: the bootstrap's, and Wilson's over all hits, which has a
    width even when no query missed anything.
    """

    strategy: str
    candidates: int
    compared: int | None
    probes: int | None
    recall: Estimate
    p50_ms: Estimate
    p95_ms: Estimate

    def reaches(self, target: float) -> bool:
        """Whether the whole interval of its recall is at or above the target."""
        return self.recall["low"] >= target

    def outdoes(self, other: Trial) -> bool:
        """Whether it needs less than another setting of its strategy: no more of anything, and not the same."""
        mine, its = ((trial.candidates, trial.compared or trial.probes or 0) for trial in (self, other))
        return self.strategy == other.strategy and mine != its and mine[0] <= its[0] and mine[1] <= its[1]


@dataclass(frozen=True)
class Tuning:
    """The trials of a tuning: `now` is the present setting, `choice` the best that reaches the target, if any."""

    index: str
    images: int
    target: float
    k: int
    queries: int
    at: str
    seconds: float
    now: Trial
    trials: Sequence[Trial]
    choice: Trial | None

    def tuned(self) -> Tuned:
        """The choice as it is stored in the index; EvaluationError when no setting reaches the target."""
        choice = self.choice
        if choice is None:
            best = max(self.trials, key=lambda trial: trial.recall["low"])
            raise EvaluationError(
                f"no setting reaches recall@{self.k} of {self.target}, the index is unchanged; best: {best.strategy} "
                f"with {best.candidates} candidates, has {best.recall['value']:.4f}, at least {best.recall['low']:.4f}"
            )
        return Tuned(
            strategy=choice.strategy,
            candidates=choice.candidates,
            compared=choice.compared,
            probes=choice.probes,
            k=self.k,
            target=self.target,
            recall=choice.recall["value"],
            images=self.images,
            at=self.at,
        )

    def as_dict(self) -> dict[str, Any]:
        """The tuning as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Grid:
    """The settings of a strategy: each limit, most expensive first, with each number of candidates, ascending."""

    strategy: str
    limits: Sequence[Mapping[str, Any]]
    ladder: Sequence[int]


def tune(searcher: Searcher, sample: Sample, target: float, progress: Progress = no_progress) -> Tuning:
    """The quickest setting that reaches the target; `choice` is None when none does.

    EvaluationError for a target that is not between 0 and 1: no sample can prove that nothing is ever missed.
    """
    if not 0 < target < 1:
        raise EvaluationError(f"a target must be above 0 and below 1, got {target}")
    began, images, k = time.perf_counter(), searcher.index.count(), sample.exact.shape[1]

    def measure(options: SearchOptions) -> Trial:
        return measured(searcher, sample, options, progress)

    present = measure(SearchOptions(k))
    trials: list[Trial] = []
    for grid in grids(searcher, images, k):
        for trial in border(grid, target, measure, k):
            trials.append(trial)
            if len(grid.limits) == 1 and _hopeless(trial, cheapest(trials, target)):
                break
    return Tuning(
        index=searcher.index.alias,
        images=images,
        target=target,
        k=k,
        queries=len(sample.queries),
        at=now(),
        seconds=round(time.perf_counter() - began, 1),
        now=present,
        trials=trials,
        choice=cheapest(trials, target),
    )


def grids(searcher: Searcher, images: int, k: int) -> Iterator[Grid]:
    """The grids of the strategies that the index supports, probably quickest first."""
    sub_codes = searcher.encoder.sub_codes
    enough = next((count for count in LADDER if count >= max(images, k)), LADDER[-1])
    ladder = [count for count in LADDER if k <= count <= enough]
    if searcher.index.graph:
        yield Grid("graph", [{}], ladder)
    if isinstance(sub_codes, Blocks):
        probes = [count for count in _PROBES if count * sub_codes.count <= MAX_TERMS]
        yield Grid("sub_codes", [{"probes": count} for count in probes], ladder)
    else:
        average = -(-images // sub_codes.cells)  # at least one cell is searched
        compared = sorted({max(images // share, average) for share in _SHARES}, reverse=True)
        yield Grid("sub_codes", [{"compared": count} for count in compared], ladder)
    yield Grid("scan", [{}], ladder)


def border(grid: Grid, target: float, measure: Callable[[SearchOptions], Trial], k: int) -> Iterator[Trial]:
    """Trials along the border between the settings that reach the target and those that miss it.

    Recall and work both rise with the candidates and with the limit. Starting with the most expensive limit and the
    fewest candidates, the walk takes more candidates until the target is reached, then the next cheaper limit
    (saddleback search). It meets every setting that reaches the target and that no other outdoes. Where more
    candidates do not raise the recall, the most candidates are tried next, once for each limit: if they miss the
    target, all remaining settings do.
    """

    def tried(candidates: int) -> Trial:
        return measure(SearchOptions(k, candidates, grid.strategy, **grid.limits[row]))

    row = column = 0
    missed, hopeful = None, set()
    while row < len(grid.limits) and column < len(grid.ladder):
        trial = tried(grid.ladder[column])
        yield trial
        if trial.reaches(target):
            row, missed = row + 1, None
            continue
        if missed == trial.recall["value"] and row not in hopeful and column + 1 < len(grid.ladder):
            last = tried(grid.ladder[-1])
            yield last
            if not last.reaches(target):
                return
            hopeful.add(row)
        column, missed = column + 1, trial.recall["value"]


def cheapest(trials: Sequence[Trial], target: float) -> Trial | None:
    """The setting with the shortest median time that reaches the target; None when none does.

    A setting that another outdoes is never chosen, however quick it was: it does the same work and more.
    """
    reaching = [trial for trial in trials if trial.reaches(target)]
    kept = [trial for trial in reaching if not any(other.outdoes(trial) for other in reaching)]
    return min(kept, key=lambda trial: trial.p50_ms["value"], default=None)


def _hopeless(trial: Trial, best: Trial | None) -> bool:
    """Whether a setting is slower than the best, so that more candidates, which take longer, need not be tried."""
    return best is not None and trial.p50_ms["low"] > best.p50_ms["high"]


def measured(searcher: Searcher, sample: Sample, options: SearchOptions, progress: Progress = no_progress) -> Trial:
    """A setting measured with all queries of the sample, one after the other."""
    strategy = searcher.planner.strategy(options)
    candidates = searcher.planner.candidates(options, strategy)
    for query in sample.queries[:_WARM_UP]:
        searcher.search(query, options)
    milliseconds, recalls = [], []
    pairs = [*zip(sample.queries, sample.exact, strict=True)]
    for query, exact in tracked(pairs, f"{strategy} with {candidates} candidates", progress):
        began = time.perf_counter()
        hits = searcher.search(query, options)
        milliseconds.append((time.perf_counter() - began) * 1e3)
        recalls.append(share_found([hit.cosine for hit in hits], exact))
    return Trial(
        strategy=strategy,
        candidates=candidates,
        compared=options.compared,
        probes=options.probes,
        recall=_recall(np.array(recalls), np.isfinite(sample.exact).sum(axis=1)),
        p50_ms=quantile_interval(milliseconds, 0.5),
        p95_ms=quantile_interval(milliseconds, 0.95),
    )


def _recall(recalls: NDArray[np.float64], wanted: NDArray[np.int64]) -> Estimate:
    """The mean of the queries' recalls, with `wanted` hits each, and the interval described at Trial."""
    figure = intervals({"recall": recalls}, _SEED)["recall"]
    hits = share_interval(round(float(recalls @ wanted)), int(wanted.sum()))
    return Estimate(value=figure["value"], low=min(figure["low"], hits["low"]), high=max(figure["high"], hits["high"]))
