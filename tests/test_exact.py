"""Exact neighbours in a real index, as numpy has them in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from indices import filled
from vectors import clustered, cosines, toy_encoder

from hashsearch.evaluation.exact import nearest, stored_vectors
from hashsearch.hashing.rerank_vectors import RerankVectors

COUNT = 1200  # several pages
VECTORS = clustered(COUNT, 24)
IDS = [f"{row:04}" for row in range(COUNT)]


@pytest.mark.parametrize(
    "smaller", [None, RerankVectors(dtype="int8"), RerankVectors(dims=10)], ids=["whole", "bytes", "projected"]
)
def test_the_nearest_are_numpys(client: Elasticsearch, fresh_name: str, smaller: RerankVectors | None) -> None:
    index = filled(client, fresh_name, toy_encoder(VECTORS, rerank_vectors=smaller), VECTORS)
    stored = stored_vectors(index, IDS)
    vectors = np.stack([one.rerank_vector for one in stored.values()])
    found = nearest(index, {image_id: stored[image_id] for image_id in ("0007", "1101")}, 10)
    for row, query in enumerate((7, 1101)):
        others = np.delete(cosines(vectors, vectors[query]), query)
        assert found[row] == pytest.approx(np.sort(others)[:-11:-1], abs=1e-6)


def test_a_small_index_has_fewer(client: Elasticsearch, fresh_name: str) -> None:
    index = filled(client, fresh_name, toy_encoder(VECTORS), VECTORS[:3])
    found = nearest(index, stored_vectors(index, IDS[:3]), 10)
    assert np.isfinite(found).sum(axis=1).tolist() == [2, 2, 2]
