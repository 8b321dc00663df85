"""The cheapest way to search an index that reaches a recall: settings are tried on the index itself, and measured.

Recall is against exact cosine over all stored re-rank vectors, without filters; time is that of one client that asks
one query after the other, with the options that users have by default. A setting reaches the target only if the lower
end of its interval does: of many settings tried some look better than they are, and few queries prove little.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hashsearch.elastic.tuned import Tuned
from hashsearch.errors import EvaluationError
from hashsearch.evaluation.live.exact import nearest, nearest_to, share_found, stored_vectors
from hashsearch.evaluation.metrics.statistics import Figure, intervals, quantile_interval, share_interval
from hashsearch.hashing.sub_codes import Blocks
from hashsearch.hashing.vectors import Vectors, normalised
from hashsearch.provenance import now
from hashsearch.search.planner import MAX_TERMS, SearchOptions, SearchQuery
from hashsearch.search.searcher import Searcher

LADDER = (20, 50, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 10_000)  # candidates
_SHARES = (5, 10, 20, 40, 80, 160, 320)  # with cells one code in so many is compared
_PROBES = (128, 64, 32, 16, 8, 4)
_WARMING = 20  # searches before time is taken
_SEED = 0


@dataclass(frozen=True)
class Sample:
    """Queries, and the cosines `(queries, k)` of the images truly nearest to each, best first."""

    queries: Sequence[SearchQuery]
    exact: NDArray[np.float32]


def of_index(searcher: Searcher, count: int, k: int) -> Sample:
    """Queries by at most `count` indexed images picked at random, each left out of its own answers."""
    index = searcher.index
    stored = stored_vectors(index, [*index.sample(min(count, _of_two_or_more(searcher)))])
    queries = [searcher.stored_query(image_id, one) for image_id, one in stored.items()]
    return Sample(queries, nearest(index, stored, k))


def of_vectors(searcher: Searcher, vectors: Vectors, k: int) -> Sample:
    """Queries by vectors `(n, dims)` of images that are not in the index."""
    _of_two_or_more(searcher)
    if not len(vectors):
        raise EvaluationError("settings are tried with one query at least, got none")
    queries = [SearchQuery(searcher.encoder.encode_query(vector)) for vector in vectors]
    asked = np.stack([query.encoded.rerank_vector for query in queries]).astype(np.float32)
    return Sample(queries, nearest_to(searcher.index, normalised(asked), k))


def _of_two_or_more(searcher: Searcher) -> int:
    """How many images the index holds; EvaluationError when there is nothing to find in it."""
    images = searcher.index.count()
    if images < 2:
        raise EvaluationError(
            f"an index must hold at least 2 images to be tuned, and '{searcher.index.alias}' holds {images}"
        )
    return images


@dataclass(frozen=True)
class Trial:
    """A setting and what was measured of it: mean recall, and milliseconds of the median and the slowest twentieth.

    The recall's interval ends where the lower of two does: the bootstrap's, and Wilson's over all hits, which stays
    open where no query missed anything.
    """

    strategy: str
    candidates: int
    compared: int | None
    probes: int | None
    recall: Figure
    p50_ms: Figure
    p95_ms: Figure

    def reaches(self, target: float) -> bool:
        """Whether it surely has this recall."""
        return self.recall["low"] >= target

    def outdoes(self, other: Trial) -> bool:
        """Whether it gets by with less than another setting of its strategy: no more of anything, and not the same."""
        mine, its = ((one.candidates, one.compared or one.probes or 0) for one in (self, other))
        return self.strategy == other.strategy and mine != its and mine[0] <= its[0] and mine[1] <= its[1]


@dataclass(frozen=True)
class Tuning:
    """What tuning found: `now` is how the index is searched so far, `choice` the setting to take, if one reaches."""

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
        """The choice as the index keeps it; EvaluationError when no setting reaches the target."""
        one = self.choice
        if one is None:
            best = max(self.trials, key=lambda trial: trial.recall["low"])
            raise EvaluationError(
                f"a recall@{self.k} of {self.target} must be reached to be kept, and the best setting, {best.strategy} "
                f"with {best.candidates} candidates, has {best.recall['value']:.4f}, surely {best.recall['low']:.4f}"
            )
        kept = (one.strategy, one.candidates, one.compared, one.probes, self.k, self.target, one.recall["value"])
        return Tuned(*kept, images=self.images, at=self.at)

    def as_dict(self) -> dict[str, Any]:
        """The tuning as JSON holds it."""
        return asdict(self)


@dataclass(frozen=True)
class Grid:
    """The settings of a strategy: each of the limits, the dearest first, with each number of candidates, rising."""

    strategy: str
    limits: Sequence[Mapping[str, Any]]
    ladder: Sequence[int]


def tune(searcher: Searcher, sample: Sample, target: float) -> Tuning:
    """The quickest setting that reaches the target; `choice` is None when none does.

    EvaluationError for a target that is not between 0 and 1: no sample proves that nothing is ever missed.
    """
    if not 0 < target < 1:
        raise EvaluationError(f"a target must be above 0 and below 1, got {target}")
    began, images, k = time.perf_counter(), searcher.index.count(), sample.exact.shape[1]
    now_taken = measured(searcher, sample, SearchOptions(k))
    trials: list[Trial] = []
    for grid in grids(searcher, images, k):
        for trial in border(grid, target, lambda options: measured(searcher, sample, options), k):
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
        now=now_taken,
        trials=trials,
        choice=cheapest(trials, target),
    )


def grids(searcher: Searcher, images: int, k: int) -> Iterator[Grid]:
    """The strategies that the index has, those first that are likely the quickest."""
    sub_codes = searcher.encoder.sub_codes
    enough = next((count for count in LADDER if count >= max(images, k)), LADDER[-1])
    ladder = [count for count in LADDER if k <= count <= enough]
    if searcher.index.graph:
        yield Grid("graph", [{}], ladder)
    if isinstance(sub_codes, Blocks):
        probes = [count for count in _PROBES if count * sub_codes.count <= MAX_TERMS]
        yield Grid("sub_codes", [{"probes": count} for count in probes], ladder)
    else:
        average = -(-images // sub_codes.cells)  # one cell is asked for at least
        compared = sorted({max(images // share, average) for share in _SHARES}, reverse=True)
        yield Grid("sub_codes", [{"compared": count} for count in compared], ladder)
    yield Grid("scan", [{}], ladder)


def border(grid: Grid, target: float, measure: Callable[[SearchOptions], Trial], k: int) -> Iterator[Trial]:
    """Trials along the border between the settings that reach the target and those that miss it.

    Recall and work both rise with the candidates and with the limit. So from the dearest limit and the fewest
    candidates on: more candidates until the target is reached, then the next cheaper limit (saddleback search). Every
    setting that reaches it and that none outdoes is met. Where more candidates found no more, the most are tried next,
    once a limit: if they miss the target too, so does all that is left.
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
            most = tried(grid.ladder[-1])
            yield most
            if not most.reaches(target):
                return
            hopeful.add(row)
        column, missed = column + 1, trial.recall["value"]


def cheapest(trials: Sequence[Trial], target: float) -> Trial | None:
    """The setting of the least median time that reaches the target; None when none does.

    One that another outdoes is no choice, however quick it was: it does the same work and more.
    """
    reaching = [trial for trial in trials if trial.reaches(target)]
    kept = [trial for trial in reaching if not any(other.outdoes(trial) for other in reaching)]
    return min(kept, key=lambda trial: trial.p50_ms["value"], default=None)


def _hopeless(trial: Trial, best: Trial | None) -> bool:
    """Whether a setting is slower than the best one, so that more candidates, which take longer, can be spared."""
    return best is not None and trial.p50_ms["low"] > best.p50_ms["high"]


def measured(searcher: Searcher, sample: Sample, options: SearchOptions) -> Trial:
    """A setting tried with all queries of the sample, one after the other."""
    strategy = searcher.planner.strategy(options)
    candidates = searcher.planner.candidates(options, strategy)
    for query in sample.queries[:_WARMING]:
        searcher.search(query, options)
    milliseconds, recalls = [], []
    asked = zip(sample.queries, sample.exact, strict=True)
    for query, exact in tqdm(asked, f"{strategy} {candidates}", len(sample.queries), leave=False, unit=" queries"):
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


def _recall(recalls: NDArray[np.float64], wanted: NDArray[np.int64]) -> Figure:
    """The mean of the queries' recalls, of so many wanted hits each, with the interval that a Trial has."""
    figure = intervals({"recall": recalls}, _SEED)["recall"]
    hits = share_interval(round(float(recalls @ wanted)), int(wanted.sum()))
    return Figure(value=figure["value"], low=min(figure["low"], hits["low"]), high=max(figure["high"], hits["high"]))
