"""Training: recipes and photos as read, losses on worked cases, and a small run that learns and goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hashsearch.training.distillation.fitting import (
    LOSSES,
    DistillationRun,
    FitRecipe,
    Phase,
    augment,
    first_parameters,
    fit,
)
from PIL import Image

from hashsearch.embedders import load
from hashsearch.embedders.architectures import Architecture, parameter_shapes
from hashsearch.errors import TrainingError
from hashsearch.training.curves import draw_curves
from hashsearch.training.distillation.distilling import distil, read_recipe
from hashsearch.training.distillation.losses import feature_loss, label_loss, neighbour_loss
from hashsearch.training.distillation.views import PhotoSet, ViewRecipe, Views, cut_view, join_labels, read_photo_set

RECIPE = Path(__file__).parents[1] / "recipes/bit-tiny.toml"
NET = Architecture((1, 1, 1, 1), width=8, groups=4, input_size=32)
FIT = FitRecipe(
    phases=[Phase(3, 32, 0.5, dict.fromkeys(LOSSES, 1.0))],
    batch=16,
    learning_rate=3e-3,
    weight_decay=0.01,
    warmup_epochs=1,
    average_decay=0.9,
    precision="float32",
    temperature=0.1,
    label_scale=10.0,
    label_smoothing=0.1,
    measure_every=2,
)


def colour_views(photos: int = 64) -> Views:
    """Two views each of noisy images of four colours; the teacher's features are the colours."""
    rng = np.random.default_rng(0)
    colours = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [180, 180, 20]])
    labels = np.arange(photos) % 4
    pixels = [
        np.clip(colours[labels][:, None, None] + rng.normal(0, 20, (photos, 36, 36, 3)), 0, 255) for _ in range(2)
    ]
    teacher = (colours[labels] / 255).astype(np.float16)
    return Views([view.astype(np.uint8) for view in pixels], [teacher, teacher], labels)


def write_photos(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), "red").save(folder / name)


def test_the_shipped_recipe_is_complete() -> None:
    recipe = read_recipe(RECIPE)
    assert recipe.network == "bit-tiny"
    assert all(phase.weights.keys() == set(LOSSES) for phase in recipe.fit.phases)
    assert len(recipe.fit.epochs) == sum(phase.epochs for phase in recipe.fit.phases)


def test_a_recipe_with_a_name_of_its_own_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.read_text() + "\nmomentum = 0.9\n")
    with pytest.raises(TrainingError, match="momentum"):
        read_recipe(path)


def test_class_folders_give_sorted_photos_and_labels(tmp_path: Path) -> None:
    write_photos(tmp_path, ["set/tea/b.jpg", "set/tea/a.jpg", "set/tea/c.jpg", "set/cup/d.jpg"])
    photos = read_photo_set(tmp_path, {"path": "set", "per_class": 2})
    assert [path.name for path in photos.paths] == ["d.jpg", "a.jpg", "b.jpg"]
    assert photos.labels.tolist() == [0, 1, 1]


def test_a_list_gives_paths_beside_it(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/train.txt").write_text("x/1.jpg, 7, 0\nx/2.jpg, 3, 0\n")
    photos = read_photo_set(tmp_path, {"path": "shop/train.txt"})
    assert photos.paths == [tmp_path / "shop/x/1.jpg", tmp_path / "shop/x/2.jpg"]
    assert photos.labels.tolist() == [1, 0]


def test_absent_and_empty_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"found no .*absent"):
        read_photo_set(tmp_path, {"path": "absent"})
    with pytest.raises(TrainingError, match="found none"):
        read_photo_set(tmp_path, {"path": "."})


def test_classes_of_different_sets_are_different() -> None:
    sets = [PhotoSet(name, [], np.array(labels)) for name, labels in (("a", [0, 1, 1]), ("b", [1, 0]), ("c", [0]))]
    assert join_labels(sets).tolist() == [0, 1, 1, 3, 2, 4]


def test_views_show_both_networks_the_same_crop() -> None:
    ramp = np.zeros((90, 120, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(120) * 2, np.arange(90)[:, None] * 2
    for number in range(20):
        small, large = cut_view(ramp, (16, 64), 0.3, np.random.default_rng(number))
        assert (small.shape, large.shape) == ((16, 16, 3), (64, 64, 3))
        assert np.abs(small.mean((0, 1)) - large.mean((0, 1))).max() < 1
        shown = np.ptp(large[..., 0].astype(int)) / 240 * np.ptp(large[..., 1].astype(int)) / 180
        assert 0.25 < shown <= 1


def test_the_whole_photo_is_a_view() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    (view,) = cut_view(image, (32,), 1.0, np.random.default_rng(0))
    assert np.array_equal(view, np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR)))


def test_feature_loss_is_one_minus_the_cosine() -> None:
    predicted, teacher = tf.constant([[2.0, 0.0], [0.0, 3.0]]), tf.constant([[1.0, 0.0], [1.0, 1.0]])
    assert float(feature_loss(predicted, teacher)) == pytest.approx(1 - (1 + np.sqrt(0.5)) / 2, abs=1e-6)


def test_neighbour_loss_is_zero_for_the_teachers_cosines_whatever_the_dimensions() -> None:
    teacher = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    turned = np.linalg.qr(np.random.default_rng(1).normal(size=(9, 4)))[0].astype(np.float32)
    assert float(neighbour_loss(tf.constant(5 * teacher @ turned.T), tf.constant(teacher), 0.1)) < 1e-4
    assert float(neighbour_loss(tf.constant(teacher[::-1].copy()), tf.constant(teacher), 0.1)) > 0.1


def test_label_loss_is_the_cross_entropy_of_cosines() -> None:
    student, prototypes = tf.constant([[3.0, 0.0]]), tf.constant([[1.0, 0.0], [0.0, 1.0]])
    loss = float(label_loss(student, prototypes, tf.constant([0]), 2.0, 0.2))
    assert loss == pytest.approx(-0.9 * 2 - 0.1 * 0 + np.log(np.exp(2) + 1), abs=1e-5)


def test_augmented_images_stay_near_their_colour() -> None:
    grey = np.full((64, 40, 40, 3), 128, np.uint8)
    images = augment(tf.constant(grey), 32, tf.random.Generator.from_seed(0)).numpy()
    assert images.shape == (64, 32, 32, 3)
    assert np.abs(images).max() < 0.5
    assert images.mean((1, 2, 3)).std() > 0.02
    again = augment(tf.constant(grey), 32, tf.random.Generator.from_seed(0)).numpy()
    assert np.array_equal(images, again)


@pytest.mark.slow
def test_a_run_learns_and_goes_on_where_it_was(tmp_path: Path) -> None:
    views = colour_views()
    measured = []

    def measure(parameters: dict[str, np.ndarray]) -> dict[str, float]:
        measured.append(parameters)
        return {"seen": float(len(measured))}

    class Killed(Exception):
        pass

    def killed(parameters: dict[str, np.ndarray]) -> dict[str, float]:
        raise Killed

    with pytest.raises(Killed):
        fit(NET, FIT, views, tmp_path, 1, killed)
    trained = fit(NET, FIT, views, tmp_path, 1, measure)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row.get("seen") for row in rows] == [None, 1, 2]
    assert rows[-1]["features"] < rows[0]["features"] / 2
    assert {name: value.shape for name, value in trained.items()} == parameter_shapes(NET)
    finished = fit(NET, FIT, views, tmp_path, 1, killed)
    assert all(np.array_equal(finished[name], trained[name]) for name in trained)


@pytest.mark.slow
def test_a_recipe_becomes_weights_that_load(tmp_path: Path) -> None:
    write_photos(tmp_path, [f"{split}/{name}/{n}.jpg" for split in ("train", "val") for name in "ab" for n in range(6)])
    layers = tf.keras.layers
    tf.keras.Sequential([layers.Input((8, 8, 3)), layers.GlobalAveragePooling2D()]).save(tmp_path / "teacher.keras")
    (tmp_path / "teacher.json").write_text('{"input_size": 8}')
    recipe = replace(
        read_recipe(RECIPE),
        teacher=str(tmp_path / "teacher.json"),
        views=ViewRecipe(count=2, size=32, min_area=0.5),
        fit=replace(FIT, phases=[replace(FIT.phases[0], epochs=1)], batch=4),
        train=[{"path": "train"}],
        held_out=[{"path": "val"}],
    )
    figures = distil(recipe, tmp_path, tmp_path / "teacher.keras", tmp_path / "out")
    assert figures["teacher"].keys() == figures["student"].keys() == {"val P@1", "val AP@10"}
    assert load("bit-tiny", tmp_path / "out/bit-tiny.npz").dims == 768
    assert len(list((tmp_path / "out/views").iterdir())) == 4


def test_curves_are_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib (the 'report' extra) is not installed")
    rows = [{"epoch": epoch, **dict.fromkeys(LOSSES, 1 / epoch), "size": 96, "seconds": 1.0} for epoch in (1, 2)]
    rows[1]["val AP@10"] = 0.5
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    draw_curves(tmp_path / "log.jsonl", tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 500


def test_the_rate_rises_and_falls(tmp_path: Path) -> None:
    start = first_parameters(NET, 3, 4, np.random.default_rng(0))
    fitting = DistillationRun(NET, replace(FIT, learning_rate=1.0), start, steps=30)
    rates = [float(fitting.rate()) for step in range(31) if fitting.done.assign(step) is not None]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(1.0)
    assert rates[20] == pytest.approx(0.5)
    assert rates[30] == pytest.approx(0.0, abs=1e-6)
