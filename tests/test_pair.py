"""Two maps side by side are of the same pictures under the same labels, with figures that can be worked by hand."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.labelling.pair import Mapped, draw_pair, read_pair
from hashsearch.evaluation.labelling.tables import write_table

LABELS = ["tea", "tea", "cup", "cup", "pot"]
APART = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [-1, -1]], np.float32)
MIXED = np.array([[1, 0], [0, 1], [1, 0.1], [0.1, 1], [-1, -1]], np.float32)


def table(path: Path, vectors: np.ndarray, labels: list[str], unplaced: int | None = None) -> Path:
    """An exported table of pictures "0", "1", ... with these vectors."""
    rows = [
        {"id": str(row), "source": "", "title": None, "category": None, "label": label, "cluster": 0, "certainty": 1.0}
        | {"pca_x": 0.0, "pca_y": 0.0, "tsne_x": None if row == unplaced else float(row), "tsne_y": float(row % 2)}
        | {"embedding": vector, "thumbnail": None}
        for row, (label, vector) in enumerate(zip(labels, vectors, strict=True))
    ]
    write_table(path, rows, {"embedder": path.stem})
    return path


def test_figures_are_of_searches_among_the_pictures() -> None:
    points = np.zeros((5, 2))
    good = Mapped("good", np.array(LABELS), points, APART)
    assert (good.average_precision, good.first_right) == (1.0, 1.0)
    bad = Mapped("bad", np.array(LABELS), points, MIXED)
    assert bad.first_right == 0
    # The other of its label is the third hit of pictures 0 and 1, the second of 2 and 3; nobody looks for the pot.
    assert bad.average_precision == pytest.approx((1 / 3 + 1 / 3 + 1 / 2 + 1 / 2) / 4)


def test_both_sides_have_the_labels_of_the_second_for_images_on_both_maps(tmp_path: Path) -> None:
    first = table(tmp_path / "first.parquet", MIXED, [""] * 5)
    second = table(tmp_path / "second.parquet", APART, LABELS, unplaced=4)
    before, after = read_pair(first, second)
    assert before.labels.tolist() == after.labels.tolist() == LABELS[:4]
    assert (before.network, after.network) == ("first", "second")
    assert np.allclose(after.vectors, APART[:4])
    assert before.points.tolist() == [[0, 0], [1, 1], [2, 0], [3, 1]]
    assert str(after) == "second: mAP@10 1.000, first hit right 100.0%"


def test_the_drawing_is_one_whole_svg_with_names_figures_and_dots(tmp_path: Path) -> None:
    first = table(tmp_path / "a & <b>.parquet", MIXED, LABELS)
    drawn = draw_pair(*read_pair(first, table(tmp_path / "second.parquet", APART, LABELS)))
    root = ElementTree.fromstring(drawn)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a & <b>", "second", "mAP@10 1.000, first hit right 100.0%", "tea", "cup"} <= set(texts)
    dots = [element.get("d", "").count("M") for element in root.iter("{http://www.w3.org/2000/svg}path")]
    assert sum(dots) == 2 * len(LABELS)


@pytest.mark.parametrize("labels", [["", "", "", "", "tea"], ["a", "b", "c", "d", "e"]])
def test_tables_with_too_few_labels_in_common_are_refused(tmp_path: Path, labels: list[str]) -> None:
    first = table(tmp_path / "first.parquet", MIXED, LABELS)
    with pytest.raises(EvaluationError, match="at least four labelled images"):
        read_pair(first, table(tmp_path / "second.parquet", APART, labels))
