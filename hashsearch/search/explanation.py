"""Why a query finds an indexed image or does not: how far the image got in the search, and its ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.elastic import queries
from hashsearch.elastic.document import StoredVectors
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.queries import MAX_CANDIDATES
from hashsearch.search.planner import QueryPlan

_SAME = 1e-7  # smaller differences of cosines are rounding errors


@dataclass(frozen=True)
class Explanation:
    """How an indexed image fared in a search.

    Attributes
    ----------
    id : str
        The image.
    found : bool
        Whether it is among the hits.
    why : str
        The reason, in one sentence.
    strategy : {"scan", "sub_codes", "graph"}
        The strategy that the search used.
    candidates : int
        Number of candidates that the search re-ranks, per shard.
    filtered_by : tuple of str
        Names of the filters that exclude the image.
    compared : bool or None
        Whether its code was compared with the query's; None with a graph, which does not report what it visited.
    candidate : bool
        Whether it was re-ranked.
    cosine : float
        Exact cosine to the query.
    cosine_rank : int
        Rank by cosine among the candidates, from 1; for an image that is not a candidate, the rank it would have had.
    hamming : int
        Number of bits in which its code differs from the query's.
    hamming_rank : int or None
        Rank among the compared codes, from 1; equal distances share a rank. None if not compared or beyond 10,000.
    bits : int
        Length of a code.
    differing_bits : tuple of int
        Positions of the differing bits, those with the smallest margin first.
    differing_margin : float or None
        Median of the query's margins at these bits; None if no bit differs.
    margin : float
        Median of the query's margins at all bits.
    sub_codes_asked : int
        Number of sub-codes that were searched.
    sub_codes : tuple of str
        The image's sub-codes.
    shared : tuple of str
        Those of them that were searched.
    """

    id: str
    found: bool
    why: str
    strategy: str
    candidates: int
    filtered_by: tuple[str, ...]
    compared: bool | None
    candidate: bool
    cosine: float
    cosine_rank: int
    hamming: int
    hamming_rank: int | None
    bits: int
    differing_bits: tuple[int, ...]
    differing_margin: float | None
    margin: float
    sub_codes_asked: int
    sub_codes: tuple[str, ...]
    shared: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The explanation as JSON."""
        return asdict(self)

    def as_lines(self) -> str:
        """The explanation for a terminal."""
        by_cosine = f"#{self.cosine_rank} of at most {self.candidates} candidates"
        by_code = "" if self.hamming_rank is None else f", #{self.hamming_rank} of the compared codes"
        lines = [
            f"{self.id}: {self.why}",
            f"cosine     {self.cosine:.4f}, {by_cosine if self.candidate else f'would be {by_cosine}'}",
            f"hamming    {self.hamming} of {self.bits} bits differ{by_code}",
        ]
        if self.differing_margin is not None:
            lines.append(f"margins    median {self.differing_margin:.3g} of these bits, {self.margin:.3g} of all")
        if self.strategy == "sub_codes":
            shared = f"shared {', '.join(self.shared)}" if self.shared else "none shared"
            lines.append(f"sub-codes  {len(self.sub_codes)}, {self.sub_codes_asked} searched: {shared}")
        return "\n".join(lines)


def explain(index: ImageIndex, plan: QueryPlan, image_id: str) -> Explanation:
    """How an image fares in the planned search; ImageNotFound if the index does not have it."""
    stored, query = index.vectors_of(image_id), plan.query.encoded
    differing = np.flatnonzero(np.unpackbits(query.code ^ stored.code))
    margins = np.abs(query.margins)
    differing = differing[np.argsort(margins[differing], kind="stable")]
    search, candidates, nearer, *passing = index.search(*_bodies(index, plan, image_id, len(differing)))
    names = [name for clause in plan.options.filters for name in clause["terms"]]
    filtered_by = tuple(name for name, answer in zip(names, passing) if not _total(answer))
    shared = tuple(sorted(set(plan.terms) & set(stored.sub_codes)))
    compared = _compared(plan, image_id, filtered_by, shared)
    scores = {hit["_id"]: 2 * hit["_score"] - 1 for hit in candidates["hits"]["hits"]}
    cosine = scores.get(image_id, _cosine(query.rerank_vector, stored))
    facts: dict[str, Any] = {
        "id": image_id,
        "found": image_id in {hit["_id"] for hit in search["hits"]["hits"]},
        "strategy": plan.strategy,
        "candidates": plan.candidates,
        "filtered_by": filtered_by,
        "compared": compared,
        "candidate": image_id in scores,
        "cosine": cosine,
        "cosine_rank": 1 + sum(other > cosine + _SAME for other in scores.values()),
        "hamming": len(differing),
        "hamming_rank": 1 + _total(nearer) if compared and _total(nearer) < MAX_CANDIDATES else None,
        "bits": len(margins),
        "differing_bits": tuple(differing.tolist()),
        "differing_margin": float(np.median(margins[differing])) if len(differing) else None,
        "margin": float(np.median(margins)),
        "sub_codes_asked": len(plan.terms),
        "sub_codes": stored.sub_codes,
        "shared": shared,
    }
    return Explanation(**facts, why=_why(plan, facts))


def _bodies(index: ImageIndex, plan: QueryPlan, image_id: str, distance: int) -> list[queries.Body]:
    """The search, all candidates by cosine, the count of nearer codes, and per filter whether the image passes it."""
    size = min(MAX_CANDIDATES, plan.candidates * index.shards)
    search = {**plan.rerank_body(plan.options.k, plan.options.min_cosine), "_source": False}
    candidates = {**plan.rerank_body(plan.candidates, None), "_source": False, "size": size}
    nearer: queries.Body = {"query": {"match_none": {}}}
    if plan.strategy != "graph" and distance:
        code = plan.query.encoded.code.tobytes().hex()
        nearer = {"query": queries.within(code, distance - 1, MAX_CANDIDATES, plan.clauses())}
    passing = [{"query": queries.all_of([queries.ids([image_id]), clause])} for clause in plan.options.filters]
    return [search, candidates, *({**body, "size": 0, "track_total_hits": True} for body in (nearer, *passing))]


def _total(answer: Mapping[str, Any]) -> int:
    return int(answer["hits"]["total"]["value"])


def _cosine(query: NDArray[Any], stored: StoredVectors) -> float:
    a, b = query.astype(np.float64), stored.rerank_vector.astype(np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def _compared(plan: QueryPlan, image_id: str, filtered_by: Sequence[str], shared: Sequence[str]) -> bool | None:
    if image_id == plan.query.own_id or filtered_by:
        return False
    if plan.strategy == "graph":
        return None
    return plan.strategy == "scan" or bool(shared)


def _why(plan: QueryPlan, facts: Mapping[str, Any]) -> str:
    """The first step of the search that excluded the image, or its ranks if it was found."""
    if facts["id"] == plan.query.own_id:
        return "not found: it is the query image itself, which is left out of its own hits"
    if facts["filtered_by"]:
        return f"not found: excluded by the filter on {' and on '.join(facts['filtered_by'])}"
    if facts["compared"] is False:
        searched = f"the {facts['sub_codes_asked']} sub-codes that were searched"
        return f"not found: it has none of {searched}; increase compared or probes to search more"
    if not facts["candidate"]:
        return f"not found: {_why_no_candidate(plan, facts)}"
    if facts["found"]:
        before = "" if facts["hamming_rank"] is None else f", #{facts['hamming_rank']} by code before re-ranking"
        return f"found: #{facts['cosine_rank']} by cosine{before}"
    least = plan.options.min_cosine
    if least is not None and facts["cosine"] < least:
        return f"not found: its cosine {facts['cosine']:.4f} is below min_cosine {least}"
    return f"not found: it is #{facts['cosine_rank']} of the candidates by cosine, and k is {plan.options.k}"


def _why_no_candidate(plan: QueryPlan, facts: Mapping[str, Any]) -> str:
    """Why an image that could have been a candidate was not."""
    by_cosine = f"by cosine it would be #{facts['cosine_rank']}"
    if plan.strategy == "graph":
        return (
            f"the graph search did not visit it, or the quantised vectors of {plan.candidates} other images are "
            f"nearer; {by_cosine}"
        )
    rank = facts["hamming_rank"]
    place = f"beyond #{MAX_CANDIDATES}" if rank is None else f"#{rank}"
    return f"its code is {place} by Hamming distance, and only {plan.candidates} candidates are re-ranked; {by_cosine}"
