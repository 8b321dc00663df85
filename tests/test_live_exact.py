"""Exact neighbours in a real index, as numpy has them in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from support.indices import filled
from support.vectors import clustered, cosines, toy_encoder

from hashsearch.evaluation.live.exact import nearest, nearest_to, share_found, stored_vectors
from hashsearch.hashing.rerank_vectors import RerankVectors

COUNT = 1200  # several pages
VECTORS = clustered(COUNT, 24)
IDS = [f"{row:04}" for row in range(COUNT)]


@pytest.mark.parametrize(
    "smaller", [None, RerankVectors(dtype="int8"), RerankVectors(dims=10)], ids=["whole", "bytes", "projected"]
)
def test_exact_neighbours_of_indexed_images_agree_with_numpy(
    client: Elasticsearch, fresh_name: str, smaller: RerankVectors | None
) -> None:
    index = filled(client, fresh_name, toy_encoder(VECTORS, rerank_vectors=smaller), VECTORS)
    stored = stored_vectors(index, IDS)
    vectors = np.stack([one.rerank_vector for one in stored.values()])
    found = nearest(index, {image_id: stored[image_id] for image_id in ("0007", "1101")}, 10)
    for row, query in enumerate((7, 1101)):
        others = np.delete(cosines(vectors, vectors[query]), query)
        assert found[row] == pytest.approx(np.sort(others)[:-11:-1], abs=1e-6)


def test_a_small_index_has_fewer_neighbours(client: Elasticsearch, fresh_name: str) -> None:
    index = filled(client, fresh_name, toy_encoder(VECTORS), VECTORS[:3])
    found = nearest(index, stored_vectors(index, IDS[:3]), 10)
    assert np.isfinite(found).sum(axis=1).tolist() == [2, 2, 2]


def test_the_nearest_of_vectors_that_are_not_indexed(client: Elasticsearch, fresh_name: str) -> None:
    index = filled(client, fresh_name, toy_encoder(VECTORS), VECTORS[:700])
    queries = VECTORS[1000:1003] / np.linalg.norm(VECTORS[1000:1003], axis=1, keepdims=True)
    for row, cosine in zip(queries, nearest_to(index, queries, 5), strict=True):
        assert cosine == pytest.approx(np.sort(cosines(VECTORS[:700], row))[:-6:-1], abs=1e-6)


@pytest.mark.parametrize(
    ("cosines", "share"),
    [
        ([0.9, 0.8, 0.7], 1),
        ([0.9, 0.8, 0.6999], 2 / 3),
        ([0.7, 0.7, 0.7, 0.7], 1),  # equal pictures
        ([0.69], 0),
        ([], 0),
    ],
)
def test_hits_count_when_they_reach_the_last_exact_neighbour(cosines: list[float], share: float) -> None:
    assert share_found(cosines, np.array([0.9, 0.8, 0.7, -np.inf], np.float32)) == pytest.approx(share)
