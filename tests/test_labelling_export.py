"""From pictures to named clusters and back: the export, what a person does with it, the import, the maps of two."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from support.shelves import COLOURS, make_shelves

from hashsearch import embedders
from hashsearch.catalog.reading import Catalog
from hashsearch.cli.jobs.label_clusters import main
from hashsearch.errors import EvaluationError
from hashsearch.evaluation.labelling.clusters import KMeans
from hashsearch.evaluation.labelling.export import Exported, export, names_of
from hashsearch.evaluation.labelling.tables import read_table
from hashsearch.images.decoding import decode


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of 18 pictures in three colours, of which a third has no category; and one entry that is no picture."""
    folder = make_shelves(tmp_path_factory.mktemp("shelf"))
    pictures = sorted((folder / "shelves" / "train").rglob("*.png"))
    (folder / "broken.png").write_text("no picture")
    with (folder / "catalog.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "path", "title", "category"])
        for row, path in enumerate(pictures):
            rows.writerow([f"{row:02}", path, path.stem, path.parent.name if row % 3 else ""])
        rows.writerow(["broken", "broken.png", "", "red"])
    return folder / "catalog.csv"


def exported(shelf: Path, out: Path, **more: Any) -> Exported:
    network = embedders.load("bit-tiny")
    return export([Catalog(shelf)], network, KMeans(3), out, progress=int, **more)


@pytest.fixture(scope="module")
def done(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported(shelf, tmp_path_factory.mktemp("done") / "table.parquet")


def colour_of(source: str) -> str:
    return Path(source).parent.name


def test_the_table_has_a_row_for_each_picture(shelf: Path, done: Exported) -> None:
    columns = ("id", "source", "title", "category", "label", "embedding", "thumbnail", "pca_x", "tsne_y", "certainty")
    rows = list(read_table(done.table, columns))
    assert [row["id"] for row in rows] == [f"{row:02}" for row in range(18)]
    assert all(row["category"] == (colour_of(row["source"]) if at % 3 else None) for at, row in enumerate(rows))
    assert all(row["label"] == (row["category"] or "") for row in rows)
    assert all(decode(row["thumbnail"]).shape == (96, 96, 3) for row in rows)
    network = embedders.load("bit-tiny")
    images = [decode(Path(row["source"]).read_bytes()) for row in rows]
    assert np.allclose([row["embedding"] for row in rows], network.embed(images), atol=1e-5)
    assert np.isfinite([[row["pca_x"], row["tsne_y"], row["certainty"]] for row in rows]).all()


def test_an_unreadable_file_is_listed_and_left_out(done: Exported) -> None:
    assert [problem.picture for problem in done.problems] == ["broken"]
    assert "18 images in 3 clusters, 18 mapped by t-SNE, 1 left out" in str(done)


def test_clusters_are_the_planted_ones_and_listed_with_known_categories(done: Exported) -> None:
    members: dict[int, set[str]] = {}
    for row in read_table(done.table, ("source", "cluster")):
        members.setdefault(row["cluster"], set()).add(colour_of(row["source"]))
    assert sorted(members) == [0, 1, 2]
    assert all(len(colours) == 1 for colours in members.values())
    with done.names.open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert [(row["cluster"], row["label"], row["pictures"]) for row in listed] == [
        (f"{at}", "", "6") for at in range(3)
    ]
    assert {row["known"] for row in listed} == {f"{colour} 4" for colour in COLOURS}


def test_the_same_seed_gives_the_same_table(shelf: Path, done: Exported, tmp_path: Path) -> None:
    again = exported(shelf, tmp_path / "again.parquet")
    first, second = (pyarrow.parquet.read_table(path) for path in (done.table, again.table))
    assert first.equals(second)
    assert done.names.read_text() == again.names.read_text()


def test_a_sample_is_taken_and_fewer_are_mapped(shelf: Path, tmp_path: Path) -> None:
    found = exported(shelf, tmp_path / "some.parquet", sample=12, most_placed=5, seed=1)
    rows = list(read_table(found.table, ("id", "pca_x", "tsne_x")))
    assert found.images == len(rows) == 12 - len(found.problems)
    assert sum(row["tsne_x"] is not None for row in rows) == found.placed == 5
    assert all(row["pca_x"] is not None for row in rows)


def test_an_id_in_two_catalogs_is_taken_once(shelf: Path, tmp_path: Path) -> None:
    catalogs = [Catalog(shelf), Catalog(shelf)]
    found = export(catalogs, embedders.load("bit-tiny"), KMeans(3), tmp_path / "two.parquet", progress=int)
    assert found.images == 18
    assert len([problem for problem in found.problems if "the id is also that of" in problem.reason]) == 19


def test_identical_images_cannot_be_clustered(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "same").mkdir()
    picture = next((shelf.parent / "shelves").rglob("*.png")).read_bytes()
    for row in range(5):
        (tmp_path / "same" / f"{row}.png").write_bytes(picture)
    with pytest.raises(EvaluationError, match="at least four images, not all the same, got 5"):
        exported(tmp_path / "same", tmp_path / "table.parquet")


def test_existing_labels_are_never_overwritten(shelf: Path, tmp_path: Path) -> None:
    out = tmp_path / "table.parquet"
    names_of(out).write_text("what a person wrote")
    with pytest.raises(EvaluationError, match=r"table\.names\.csv exists, and labels are never overwritten"):
        exported(shelf, out)
    with pytest.raises(EvaluationError, match=r"must be a \.parquet file"):
        exported(shelf, tmp_path / "table.csv")


def test_a_person_names_clusters_moves_a_stray_and_gets_a_catalog(shelf: Path, tmp_path: Path) -> None:
    """The whole loop as it is run: export, names into the list, import, export again, both maps as one drawing."""
    runner, table, labels = CliRunner(), tmp_path / "before.parquet", tmp_path / "labels.csv"
    started = runner.invoke(main, ["export", str(shelf), "--out", str(table), "--count", "3"])
    assert started.exit_code == 3, started.output
    assert "left out broken" in started.output
    write_names(names_of(table))
    imported = runner.invoke(main, ["import", str(table), "--names", str(names_of(table)), "--out", str(labels)])
    assert imported.exit_code == 3, imported.output
    assert "id 99" in imported.output
    assert "3 classes; labels: 6 new, 1 moved, 0 removed, 11 kept; 0 images without" in imported.output
    categories = {entry.id: (entry.category, entry.source) for entry in Catalog(labels)}  # type: ignore[union-attr]  # no entry is rejected
    assert categories.pop("01")[0] == "red"
    assert all(category == colour_of(source) for category, source in categories.values())
    again = runner.invoke(main, ["export", str(labels), "--out", str(tmp_path / "after.parquet"), "--count", "3"])
    assert again.exit_code == 0, again.output
    drawn = runner.invoke(main, ["plot", str(table), str(tmp_path / "after.parquet"), "--out", str(tmp_path / "a.svg")])
    assert drawn.exit_code == 0, drawn.output
    assert drawn.output.splitlines()[0] == drawn.output.splitlines()[1]
    assert (tmp_path / "a.svg").read_text().startswith("<svg")


def write_names(path: Path) -> None:
    """What a person writes: each cluster's known label as its name, and two pictures moved, of which one is none."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["label"] = row["known"].split()[0]
    moved = [dict.fromkeys(rows[0], "") | {"id": name, "label": "red"} for name in ("01", "99")]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows([*rows, *moved])
