"""Search by local features on the same index: images to hits that geometry confirms, in whole or in part.

Visual words select candidates (BM25 in Elasticsearch). Their pictures are read again from where they were indexed, and
matched keypoint by keypoint. That is slow, but it is the only search that says where in the picture the match is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
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
from hashsearch.images.stages import stage
from hashsearch.overlap import prefetch
from hashsearch.search.hits import FoundImage

MAX_MATCHED = 1000  # pictures read and matched for one query
_WORKERS = 4


@dataclass(frozen=True)
class KeypointHit(FoundImage):
    """One hit: the image's stored fields, and how well its picture matches the query.

    Attributes
    ----------
    verdict : {"same", "in part", "unlike", "not read"}
        Whether the pictures are the same, have a part in common, or have nothing that geometry confirms.
    score : float
        Score of the match; 1 and more is confirmed.
    inliers : int
        Matching keypoints that obey the homography.
    share : float
        Share of the keypoints that match, 0 to 1.
    overlap : float
        Share of the picture that is within the other one, 0 to 1.
    word_rank : int
        Rank among the candidates by shared visual words, from 1.
    unread : str or None
        Why the picture could not be read; such a hit is not matched, its score is 0.
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
        """Whether geometry confirms the hit."""
        return self.score >= 1


def as_table(hits: Sequence[KeypointHit]) -> str:
    """Hits as lines for a terminal: score, inliers, overlap, rank by words, verdict, id, title."""
    lines = ["score  inliers  overlap  words  verdict   id"]
    for hit in hits:
        numbers = f"{hit.score:5.2f}  {hit.inliers:>7}  {hit.overlap:7.2f}  {f'#{hit.word_rank}':>5}"
        lines.append(f"{numbers}  {hit.verdict:<8}  {hit.id}  {hit.title or ''}".rstrip())
    return "\n".join(lines)


class KeypointSearcher:
    """Searches one index by the visual words that it stores, and by the pictures themselves.

    Parameters
    ----------
    index : ImageIndex
        The index to search.
    vocabulary : Vocabulary
        The vocabulary that the index was written with.
    reader : ImageReader
        Reads the pictures of the candidates.

    Raises
    ------
    VocabularyMismatch
        If the index was written with another vocabulary, or with none.
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
    ) -> list[KeypointHit]:
        """Search with the picture of an indexed image, which is left out of the hits; otherwise as `by_image`.

        Raises
        ------
        ImageNotFound
            If the index has no image with that id.
        ImageError, FetchError
            If its picture cannot be read again.
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
    ) -> list[KeypointHit]:
        """Search with an image.

        Parameters
        ----------
        image : array of shape (height, width, 3), uint8
            RGB image of any size.
        k : int
            Number of hits, 1 to 1000.
        candidates : int
            Number of pictures to read and match, 1 to 1000; at least k are.
        turned : bool
            Also match the mirror image; only with SIFT. Rotations match without it.
        filters : sequence of dict
            Clauses made by `elastic.queries.filters`.

        Returns
        -------
        list of KeypointHit
            At most k hits: those that geometry confirms, best score first, then the others, most shared words first.
            None for a blank image.

        Raises
        ------
        SearchError
            If k or `candidates` is out of range.
        HashingError
            If `turned` is used with features other than SIFT.
        StoreError
            If the index does not exist or Elasticsearch does not answer.
        """
        if not 1 <= k <= MAX_MATCHED:
            raise SearchError(f"k must be 1 to {MAX_MATCHED}, got {k}")
        if not 1 <= candidates <= MAX_MATCHED:
            raise SearchError(f"candidates must be 1 to {MAX_MATCHED}, got {candidates}")
        features = self.vocabulary.extractor.extract(image)
        variants = [features, mirrored(features)] if turned else [features]
        hits = list(self._matched(variants, self._candidates(variants, max(k, candidates), filters)))
        return sorted(hits, key=lambda hit: (-hit.score if hit.verified else 0.0, hit.word_rank))[:k]

    def _candidates(
        self, variants: Sequence[LocalFeatures], size: int, filters: Sequence[queries.Body]
    ) -> list[dict[str, Any]]:
        """The best candidates of all variants, each image once; a search per variant, as clauses are limited."""
        bodies = [queries.by_words(self.vocabulary.query_terms(features), size, filters) for features in variants]
        hits = [hit for answer in self.index.search(*bodies) for hit in answer["hits"]["hits"]]
        ranked: dict[str, dict[str, Any]] = {}
        for hit in sorted(hits, key=lambda hit: -hit["_score"]):
            ranked.setdefault(hit["_id"], hit)
        return list(ranked.values())[:size]

    def _matched(
        self, variants: Sequence[LocalFeatures], candidates: Sequence[dict[str, Any]]
    ) -> Iterator[KeypointHit]:
        sources = [hit["_source"].get("uri", "") for hit in candidates]
        read = features_of_sources(self.vocabulary.extractor, sources, self.reader)
        for rank, (hit, features) in enumerate(zip(candidates, read), start=1):
            unread = f"{features.code}: {features}" if isinstance(features, HashsearchError) else None
            match = Match() if isinstance(features, HashsearchError) else _best_match(variants, features)
            yield KeypointHit(
                verdict="not read" if unread else verdict(match),
                score=match.score,
                inliers=match.inliers,
                share=match.share,
                overlap=match.overlap,
                word_rank=rank,
                unread=unread,
                **described(hit),
            )


def _best_match(variants: Sequence[LocalFeatures], features: LocalFeatures) -> Match:
    return max((verify(variant, features) for variant in variants), key=lambda match: match.score)


def features_of_sources(
    extractor: LocalExtractor, sources: Iterable[str], reader: ImageReader = DEFAULT_READER
) -> Iterator[LocalFeatures | HashsearchError]:
    """Local features of files and URLs, in order, some read ahead; the error for each that cannot be read."""

    def extract(source: str) -> LocalFeatures | HashsearchError:
        if not source:
            return Unreadable("the index does not store where the image was read from")
        try:
            with ExitStack() as stack:
                with stage("decoding", source):
                    image = stack.enter_context(reader.decoded(reader.read(source)))
                with stage("finding keypoints", source):
                    return extractor.extract(image)
        except (FetchError, ImageError) as error:
            return error

    # By default BLAS uses all cores for each small product.
    with ThreadPoolExecutor(_WORKERS, "keypoints") as pool, threadpool_limits(1, "blas"):
        for pending in prefetch(sources, lambda source: pool.submit(extract, source), 4 * _WORKERS):
            yield pending.result()
