"""Why a query found an indexed image, or why it did not: how far the image came in the search, and where it stood."""

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
from hashsearch.search.planner import Plan

_SAME = 1e-7  # cosines nearer than this are told apart by rounding only


@dataclass(frozen=True)
class Explanation:
    """How an indexed image fared in a search; `why` says it in one sentence.

    `compared`: whether its code was compared with the query's; None with a graph, which does not tell whom its walk
    met. `candidate`: whether it was re-ranked by `cosine`; `cosine_rank` is its place among the candidates, or the one
    that it would have had. `hamming_rank`: its place among the compared codes, equals sharing one; None where it was
    not compared, and beyond 10,000.

    `differing_bits` are the places of the `hamming` bits of `bits` that differ, those first of which the query is least
    certain; `differing_margin` and `margin` are the medians of how certain it is of these (None without any) and of
    all.
    `sub_codes` are those of the image, `shared` those of them that were among the `sub_codes_asked` for.
    `filtered_by` names the filters that it does not pass.
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
        """The explanation as JSON holds it."""
        return asdict(self)

    def as_lines(self) -> str:
        """The explanation for a terminal."""
        by_cosine = f"#{self.cosine_rank} of at most {self.candidates} candidates"
        by_code = "" if self.hamming_rank is None else f", #{self.hamming_rank} of the compared codes"
        lines = [
            f"{self.id}: {self.why}",
            f"cosine     {self.cosine:.4f}, {by_cosine if self.candidate else f'it would be {by_cosine}'}",
            f"hamming    {self.hamming} of {self.bits} bits differ{by_code}",
        ]
        if self.differing_margin is not None:
            lines.append(f"margins    median {self.differing_margin:.3g} of these bits, {self.margin:.3g} of all")
        if self.strategy == "sub_codes":
            shared = f"shared {', '.join(self.shared)}" if self.shared else "none of them shared"
            lines.append(f"sub-codes  {len(self.sub_codes)}, {self.sub_codes_asked} asked for: {shared}")
        return "\n".join(lines)


def explain(index: ImageIndex, plan: Plan, image_id: str) -> Explanation:
    """How an image fares in the planned search; ImageNotFound when no search finds it."""
    stored, query = index.vectors_of(image_id), plan.query.encoded
    differing = np.flatnonzero(np.unpackbits(query.code ^ stored.code))
    margins = np.abs(query.margins)
    differing = differing[np.argsort(margins[differing], kind="stable")]
    searched, ranked, nearer, *passing = index.search(*_requests(index, plan, image_id, len(differing)))
    names = [name for clause in plan.options.filters for name in clause["terms"]]
    filtered_by = tuple(name for name, passed in zip(names, passing) if not _total(passed))
    shared = tuple(sorted(set(plan.terms) & set(stored.sub_codes)))
    compared = _compared(plan, image_id, filtered_by, shared)
    scores = {hit["_id"]: 2 * hit["_score"] - 1 for hit in ranked["hits"]["hits"]}
    cosine = scores.get(image_id, _cosine(query.rerank_vector, stored))
    facts: dict[str, Any] = {
        "id": image_id,
        "found": image_id in {hit["_id"] for hit in searched["hits"]["hits"]},
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


def _requests(index: ImageIndex, plan: Plan, image_id: str, distance: int) -> list[queries.Body]:
    """The search; all candidates by cosine; how many compared codes are nearer; whether it passes each filter."""
    most = min(MAX_CANDIDATES, plan.candidates * index.shards)
    bodies = [
        {**plan.reranked(plan.options.k, plan.options.min_cosine), "_source": False},
        {**plan.reranked(plan.candidates, None), "_source": False, "size": most},
    ]
    counted: queries.Body = {"query": {"match_none": {}}}
    if plan.strategy != "graph" and distance:
        code = plan.query.encoded.code.tobytes().hex()
        counted = {"query": queries.within(code, distance - 1, MAX_CANDIDATES, plan.clauses())}
    passing = [{"query": queries.all_of([queries.ids([image_id]), clause])} for clause in plan.options.filters]
    return [*bodies, *({**body, "size": 0, "track_total_hits": True} for body in (counted, *passing))]


def _total(answer: Mapping[str, Any]) -> int:
    return int(answer["hits"]["total"]["value"])


def _cosine(asked: NDArray[Any], stored: StoredVectors) -> float:
    one, other = asked.astype(np.float64), stored.rerank_vector.astype(np.float64)
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def _compared(plan: Plan, image_id: str, filtered_by: Sequence[str], shared: Sequence[str]) -> bool | None:
    if image_id == plan.query.own or filtered_by:
        return False
    if plan.strategy == "graph":
        return None
    return plan.strategy == "scan" or bool(shared)


def _why(plan: Plan, facts: Mapping[str, Any]) -> str:
    """The sentence: the first step of the search that the image did not pass, or where it stood."""
    if facts["id"] == plan.query.own:
        return "not found: it is the image searched with, which its own hits leave out"
    if facts["filtered_by"]:
        return f"not found: it does not pass the filter on {' and on '.join(facts['filtered_by'])}"
    if facts["compared"] is False:
        asked = f"the {facts['sub_codes_asked']} asked for"
        return f"not found: none of its sub-codes is among {asked}; a larger compared, or more probes, asks for more"
    if not facts["candidate"]:
        return f"not found: {_missed(plan, facts)}"
    if facts["found"]:
        before = "" if facts["hamming_rank"] is None else f", #{facts['hamming_rank']} by code before re-ranking"
        return f"found: #{facts['cosine_rank']} by cosine{before}"
    least = plan.options.min_cosine
    if least is not None and facts["cosine"] < least:
        return f"not found: its cosine {facts['cosine']:.4f} is below min_cosine {least}"
    return f"not found: it is #{facts['cosine_rank']} of the candidates by cosine, and k is {plan.options.k}"


def _missed(plan: Plan, facts: Mapping[str, Any]) -> str:
    """Why an image that might have been a candidate is none."""
    would = f"by cosine it would have been #{facts['cosine_rank']}"
    if plan.strategy == "graph":
        return (
            f"the walk of the graph did not meet it, or it is not among the {plan.candidates} nearest by quantised "
            f"vectors that it met; {would}"
        )
    rank = facts["hamming_rank"]
    place = f"beyond #{MAX_CANDIDATES}" if rank is None else f"#{rank}"
    return f"its code was compared, but is {place} by distance, and {plan.candidates} were candidates; {would}"
