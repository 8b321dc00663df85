"""A map shows what belongs together."""

from __future__ import annotations

import numpy as np
import pytest

from hashsearch.evaluation.metrics.projection import MOST, projected, sampled


def test_clusters_stay_together() -> None:
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(3, 20, dtype=np.float32), 30, axis=0)
    drawn = projected(centres + rng.normal(0, 0.05, (90, 20)).astype(np.float32), seed=0)
    assert drawn is not None
    for points in drawn:
        assert points.shape == (90, 2)
        middles = points.reshape(3, 30, 2).mean(axis=1)
        nearest = np.linalg.norm(points[:, None] - middles, axis=2).argmin(axis=1)
        assert (nearest == np.repeat([0, 1, 2], 30)).all()


def test_where_there_is_nothing_to_see_there_is_no_map() -> None:
    assert projected(np.eye(3, 20, dtype=np.float32), 0) is None
    assert projected(np.ones((5, 20), np.float32), 0) is None
    assert projected(np.arange(1, 6, dtype=np.float32)[:, None] * np.ones(20, np.float32), 0) is None


@pytest.mark.parametrize(("count", "expected"), [(7, 7), (MOST + 5, MOST)])
def test_rows_are_sampled_once_each(count: int, expected: int) -> None:
    rows = sampled(count, seed=1)
    assert len(set(rows.tolist())) == expected
    assert rows.tolist() == sorted(rows.tolist())
