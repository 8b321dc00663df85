"""Clusters that were planted are found again, the largest first; what lies between two is told by its certainty."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.labelling.clusters import (
    ALONE,
    CLUSTERINGS,
    HDBSCAN,
    Clustering,
    KMeans,
    by_size,
    make_clustering,
)

SIZES = (20, 60, 40)  # planted in this order
FOUND = np.repeat([2, 0, 1], SIZES)  # numbered by size


def planted(seed: int = 0) -> NDArray[np.float64]:
    """Three heaps of points `(120, 8)` around corners far from each other."""
    rng = np.random.default_rng(seed)
    return np.repeat(np.eye(3, 8), SIZES, axis=0) + rng.normal(0, 0.03, (sum(SIZES), 8))


@pytest.mark.parametrize("clustering", [KMeans(3), HDBSCAN()])
def test_planted_clusters_are_found(clustering: Clustering) -> None:
    found = clustering.find(planted(), seed=0)
    named = found.numbers != ALONE
    assert (found.numbers[named] == FOUND[named]).all()
    assert named.mean() > 0.9
    assert found.count == 3
    assert ((found.certainty >= 0) & (found.certainty <= 1)).all()


@pytest.mark.parametrize("name", CLUSTERINGS)
def test_a_seed_gives_the_same_clusters_again(name: str) -> None:
    first, second = (make_clustering(name, {}).find(planted(), seed=3) for _ in range(2))
    assert (first.numbers == second.numbers).all()
    assert (first.certainty == second.certainty).all()


def test_a_point_between_two_centres_is_the_least_certain_of_k_means() -> None:
    between = np.array([[0.5, 0.5, *[0.0] * 6]])
    found = KMeans(3).find(np.vstack([planted(), between]), seed=0)
    assert found.certainty.argmin() == len(planted())
    assert found.certainty[-1] < 0.1 < 0.8 < np.median(found.certainty)


def test_a_point_far_from_all_is_in_no_cluster_of_hdbscan() -> None:
    far = np.full((1, 8), 5.0)
    found = HDBSCAN().find(np.vstack([planted(), far]), seed=0)
    assert found.numbers[-1] == ALONE
    assert found.certainty[-1] == 0


def test_without_a_count_k_means_takes_the_root_of_half_the_points() -> None:
    assert KMeans().find(np.random.default_rng(0).normal(size=(200, 4)), seed=0).count == 10


def test_clusters_are_numbered_by_size_then_by_first_point() -> None:
    found = by_size(np.array([7, 4, 4, ALONE, ALONE, ALONE, 7, 9, 9, 9]), np.ones(10))
    assert found.numbers.tolist() == [1, 2, 2, ALONE, ALONE, ALONE, 1, 0, 0, 0]
    assert by_size(np.full(3, ALONE), np.zeros(3)).count == 0


@pytest.mark.parametrize(
    ("clustering", "said"),
    [
        (KMeans(1), "count must be 2 to the number of images, 5, got 1"),
        (KMeans(6), "count must be 2 to the number of images, 5, got 6"),
        (HDBSCAN(1), "smallest must be 2 to the number of images, 5, got 1"),
        (HDBSCAN(6), "smallest must be 2 to the number of images, 5, got 6"),
    ],
)
def test_counts_and_sizes_out_of_range_are_refused(clustering: Clustering, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        clustering.find(np.random.default_rng(0).normal(size=(5, 3)), seed=0)


def test_hdbscan_refuses_more_points_than_it_can_pair() -> None:
    with pytest.raises(EvaluationError, match="at most 20000 images, got 20001: use --sample"):
        HDBSCAN().find(np.zeros((20_001, 2)), seed=0)


def test_unknown_names_and_options_list_the_known_ones() -> None:
    with pytest.raises(EvaluationError, match="one of kmeans, hdbscan, got 'dbscan'"):
        make_clustering("dbscan", {})
    with pytest.raises(EvaluationError, match="hdbscan has only the option smallest, got 'count'"):
        make_clustering("hdbscan", {"count": 3})
