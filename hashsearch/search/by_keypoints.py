"""Search by local features on the same index: an image -> hits whose pictures match it, or parts of it, by geometry.

Visual words recall candidates (BM25 in Elasticsearch). Their pictures are read again from where they were indexed from,
and matched keypoint by keypoint: that is slow, and the only answer that says where in the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hashsearch.descriptors.keypoints import LocalExtractor, LocalFeatures, mirrored
from hashsearch.descriptors.matching import Match, verdict, verify
from hashsearch.descriptors.words import Vocabulary
from hashsearch.elastic import queries
from hashsearch.elastic.document import described
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.errors import FetchError, HashsearchError, ImageError, SearchError, Unreadable
from hashsearch.images.sources import DEFAULT_READER, ImageReader
from hashsearch.overlap import prefetch
from hashsearch.search.hits import FoundImage

MOST_CANDIDATES = 1000  # pictures read and matched for one query
_WORKERS = 4


@dataclass(frozen=True)
class LocalHit(FoundImage):
    """One found image. `word_rank` is its place among the candidates, 1 for the one that shares most words.

    `verdict` is the match's: same, in part or unlike; `score`, `inliers`, `share` and `overlap` are its too. Where the
    picture could not be read, `unread` says why, and nothing but the words speaks for the hit.
    """

    verdict: str
    score: float
    inliers: int
    share: float
    overlap: float
    word_rank: int
    unread: str | None

    @property
    def verified(self) -> bool:
        """Whether geometry confirms it."""
        return self.score >= 1


def as_table(hits: Sequence[LocalHit]) -> str:
    """Hits as lines for a terminal: score, inliers, overlap, rank by words, verdict, id, title."""
    lines = ["score  inliers  overlap  words  verdict   id"]
    for hit in hits:
        numbers = f"{hit.score:5.2f}  {hit.inliers:>7}  {hit.overlap:7.2f}  {f'#{hit.word_rank}':>5}"
        lines.append(f"{numbers}  {hit.verdict:<8}  {hit.id}  {hit.title or ''}".rstrip())
    return "\n".join(lines)


class LocalSearcher:
    """Answers queries on one index by the visual words that it holds, and by the pictures themselves.

    VocabularyMismatch unless the index was written with the vocabulary.
    """

    def __init__(self, index: ImageIndex, vocabulary: Vocabulary, reader: ImageReader = DEFAULT_READER) -> None:
        index.check_vocabulary(vocabulary.fingerprint)
        self.index = index
        self.vocabulary = vocabulary
        self.reader = reader

    def by_id(
        self,
        image_id: str,
        k: int = 10,
        *,
        candidates: int = 50,
        turned: bool = False,
        filters: Sequence[queries.Body] = (),
    ) -> list[LocalHit]:
        """The same as `by_image` for an indexed image, itself left out.

        ImageNotFound when it is not there, an ImageError or FetchError when its picture cannot be read again.
        """
        uri = self.index.record(image_id).get("uri", "")
        image = self.reader.pixels(uri)
        others = [*filters, queries.none_of(queries.ids([image_id]))]
        return self.by_image(image, k, candidates=candidates, turned=turned, filters=others)

    def by_image(
        self,
        image: NDArray[np.uint8],
        k: int = 10,
        *,
        candidates: int = 50,
        turned: bool = False,
        filters: Sequence[queries.Body] = (),
    ) -> list[LocalHit]:
        """The k best hits for an RGB image `(height, width, 3) uint8`: first those that geometry confirms, best score
        first, then the others as their words rank them.

        `candidates` are recalled and read, the k at least. With `turned` the mirror image is looked for as well (other
        turns always are), which only SIFT can. A blank image has no hits. SearchError for numbers out of range.
        """
        if not 1 <= k <= MOST_CANDIDATES:
            raise SearchError(f"k must be 1 to {MOST_CANDIDATES}, got {k}")
        if not 1 <= candidates <= MOST_CANDIDATES:
            raise SearchError(f"candidates must be 1 to {MOST_CANDIDATES}, got {candidates}")
        seen = self.vocabulary.extractor.extract(image)
        sought = [seen, mirrored(seen)] if turned else [seen]
        recalled = self._recalled(sought, max(k, candidates), filters)
        hits = list(self._matched(sought, recalled))
        return sorted(hits, key=lambda hit: (-hit.score if hit.verified else 0.0, hit.word_rank))[:k]

    def _recalled(
        self, sought: Sequence[LocalFeatures], most: int, filters: Sequence[queries.Body]
    ) -> list[dict[str, Any]]:
        """What each of the sought recalls, the best of all, an image once; not one query: clauses are limited."""
        bodies = [queries.by_words(self.vocabulary.query_terms(one), most, filters) for one in sought]
        hits = [hit for answer in self.index.search(*bodies) for hit in answer["hits"]["hits"]]
        ranked: dict[str, dict[str, Any]] = {}
        for hit in sorted(hits, key=lambda hit: -hit["_score"]):
            ranked.setdefault(hit["_id"], hit)
        return list(ranked.values())[:most]

    def _matched(self, sought: Sequence[LocalFeatures], recalled: Sequence[dict[str, Any]]) -> Iterator[LocalHit]:
        sources = [hit["_source"].get("uri", "") for hit in recalled]
        found = features_of(self.vocabulary.extractor, sources, self.reader)
        for rank, (hit, seen) in enumerate(zip(recalled, found), start=1):
            unread = f"{seen.code}: {seen}" if isinstance(seen, HashsearchError) else None
            match = Match() if isinstance(seen, HashsearchError) else _best(sought, seen)
            yield LocalHit(
                verdict="not read" if unread else verdict(match),
                score=match.score,
                inliers=match.inliers,
                share=match.share,
                overlap=match.overlap,
                word_rank=rank,
                unread=unread,
                **described(hit),
            )


def _best(sought: Sequence[LocalFeatures], seen: LocalFeatures) -> Match:
    return max((verify(one, seen) for one in sought), key=lambda match: match.score)


def features_of(
    extractor: LocalExtractor, sources: Iterable[str], reader: ImageReader = DEFAULT_READER
) -> Iterator[LocalFeatures | HashsearchError]:
    """Local features of files and addresses, in order, some read ahead; the error of one that cannot be read."""

    def look(source: str) -> LocalFeatures | HashsearchError:
        if not source:
            return Unreadable("the index does not hold where the image is")
        try:
            return extractor.extract(reader.pixels(source))
        except (FetchError, ImageError) as error:
            return error

    # Left to itself, BLAS takes all cores for each small product.
    with ThreadPoolExecutor(_WORKERS, "local") as pool, threadpool_limits(1, "blas"):
        for looked in prefetch(sources, lambda source: pool.submit(look, source), 4 * _WORKERS):
            yield looked.result()
