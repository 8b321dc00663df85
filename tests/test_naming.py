"""Labels come back as a person gave them: on pictures in the table, by name of a cluster, by id of a stray."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashsearch.catalog.reading import Catalog, Entry
from hashsearch.errors import EvaluationError
from hashsearch.evaluation.data.datasets import read_data
from hashsearch.evaluation.labelling.naming import (
    Labelled,
    Names,
    changes,
    named,
    read_labelled,
    read_names,
    write_catalog,
)

ROWS = [
    Labelled("a", "/a.jpg", "tea", category="tea", cluster="0"),
    Labelled("b", "/b.jpg", "", cluster="0"),
    Labelled("c", "/c.jpg", "cup", category="tea", cluster="0"),
    Labelled("d", "/d.jpg", "", category="tea", cluster="1"),
    Labelled("e", "/e.jpg", "", cluster="1"),
]


def written(folder: Path, content: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def test_the_name_of_a_cluster_goes_to_its_members_without_a_label() -> None:
    assert named(ROWS, Names({"0": "coffee"})) == ["tea", "coffee", "cup", "", ""]


def test_a_label_by_id_takes_precedence_over_all_others() -> None:
    given = Names({"0": "coffee"}, {"a": "pot", "b": "jar", "c": ""})
    assert named(ROWS, given) == ["pot", "jar", "", "", ""]


def test_changes_are_counted_against_the_labels_before() -> None:
    given = Names({"0": "coffee", "7": "jam"}, {"e": "pot", "z": "pan"})
    found = changes(ROWS, named(ROWS, given), given)
    assert (found.new, found.moved, found.removed, found.kept, found.empty) == (2, 1, 1, 1, 1)
    assert found.classes == 4
    assert found.unknown == ("cluster 7", "id z")
    assert found.alone == ("coffee", "cup", "pot", "tea")
    assert str(found) == "4 classes; labels: 2 new, 1 moved, 1 removed, 1 kept; 1 images without"


def test_an_edited_table_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "id,source,label,cluster,note\na,/a.jpg, tea ,3,x\nb,/b.jpg,,,y\n")
    assert read_labelled(path) == [
        Labelled("a", "/a.jpg", "tea", cluster="3"),
        Labelled("b", "/b.jpg", ""),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,source\na,/a.jpg\n", "lacks label"),
        ("id,source,label\na,/a.jpg,tea\na,/b.jpg,cup\n", "ids must be unique, and row 2 of .* repeats 'a'"),
        ("id,source,label\n,/a.jpg,tea\n", "row 1 .* must have an id and a source"),
        ("id,source,label\n", "has no rows"),
    ],
)
def test_a_table_with_missing_values_or_repeated_ids_is_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        read_labelled(written(tmp_path, content))


def test_names_are_read_for_clusters_and_for_images(tmp_path: Path) -> None:
    content = "cluster,id,label,pictures\n0,,tea,30\n1,,,20\n,a,cup,\n,b,,\n"
    assert read_names(written(tmp_path, content)) == Names({"0": "tea"}, {"a": "cup", "b": ""})
    assert read_names(written(tmp_path, "cluster,label\n0,tea\n")) == Names({"0": "tea"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("cluster,id,label\n0,a,tea\n", "must have either a cluster or an id"),
        ("label\ntea\n", "must have either a cluster or an id"),
        ("cluster,name\n0,tea\n", "lacks label"),
        ("id,label\na,tea\na,cup\n", "gives 'a' a second label, 'cup'"),
    ],
)
def test_ambiguous_names_are_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        read_names(written(tmp_path, content))


def test_the_catalog_is_read_as_any_other(tmp_path: Path) -> None:
    rows = []
    for name in "abcdef":
        (tmp_path / f"{name}, 1.jpg").write_bytes(b"")
        rows.append(Labelled(name, str(tmp_path / f"{name}, 1.jpg"), "", title=f"a “{name}”"))
    out = tmp_path / "new" / "labels.csv"
    write_catalog(out, rows, ["tea", "tea", "cup", "cup", "cup", ""])
    assert next(iter(Catalog(out))) == Entry("a", rows[0].source, "a “a”", "tea")
    found = read_data("shelf", out, "catalog", every=2)
    assert {picture.id: picture.label for picture in (*found.base, *found.queries)} == {
        **dict.fromkeys("ab", "tea"),
        **dict.fromkeys("cde", "cup"),
        "f": "",
    }


@pytest.mark.parametrize("name", ["labels.csv", "labels.txt"])
def test_a_catalog_is_never_overwritten_and_known_by_its_ending(tmp_path: Path, name: str) -> None:
    written(tmp_path, "mine", "labels.csv")
    with pytest.raises(EvaluationError, match=r"a new \.csv file"):
        write_catalog(tmp_path / name, ROWS, named(ROWS, Names()))
    assert (tmp_path / "labels.csv").read_text() == "mine"
