"""Distillation: photos and views as read, losses on worked cases, and small runs that learn and are resumed."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support.killing import finish, kill_when

from hashsearch.embedders import BIT, load
from hashsearch.embedders.architectures import Architecture, parameter_shapes
from hashsearch.embedders.weights import read_parameters
from hashsearch.errors import TrainingError
from hashsearch.training.curves import draw_log
from hashsearch.training.distillation.distilling import DistillationRun, distil
from hashsearch.training.distillation.losses import feature_loss, neighbour_loss
from hashsearch.training.distillation.student import Prototypes, augment, learning_rate
from hashsearch.training.distillation.views import PhotoSet, Views, cut_view, join_labels, read_photo_set
from hashsearch.training.log import Row, read_rows, write_rows
from hashsearch.training.losses import softmax_loss
from hashsearch.training.recipes import DISTILLATION_LOSSES, FitRecipe, Phase, ViewRecipe, read_distillation

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).parents[1] / "recipes/bit-tiny.toml"
NET = Architecture((1, 1, 1, 1), width=8, groups=4, input_size=32)
FIT = FitRecipe(
    phases=(Phase(3, 32, 0.5, dict.fromkeys(DISTILLATION_LOSSES, 1.0)),),
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


def test_class_folders_give_sorted_photos_and_labels(tmp_path: Path) -> None:
    write_photos(tmp_path, ["set/tea/b.jpg", "set/tea/a.jpg", "set/tea/c.jpg", "set/cup/d.jpg"])
    photos = read_photo_set(tmp_path, {"path": "set", "per_class": 2})
    assert [picture.path.name for picture in photos.pictures] == ["d.jpg", "a.jpg", "b.jpg"]
    assert photos.labels.tolist() == [0, 1, 1]


def test_a_list_gives_paths_beside_it(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/train.txt").write_text("x/1.jpg, 7, 0\nx/2.jpg, 3, 0\n")
    photos = read_photo_set(tmp_path, {"path": "shop/train.txt"})
    assert [picture.path for picture in photos.pictures] == [tmp_path / "shop/x/1.jpg", tmp_path / "shop/x/2.jpg"]
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
    assert float(feature_loss(teacher, predicted)) == pytest.approx(1 - (1 + np.sqrt(0.5)) / 2, abs=1e-6)


def test_neighbour_loss_is_zero_for_the_teachers_cosines_whatever_the_dimensions() -> None:
    teacher = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    turned = np.linalg.qr(np.random.default_rng(1).normal(size=(9, 4)))[0].astype(np.float32)
    assert float(neighbour_loss(tf.constant(teacher), tf.constant(5 * teacher @ turned.T), 0.1)) < 1e-4
    assert float(neighbour_loss(tf.constant(teacher), tf.constant(teacher[::-1].copy()), 0.1)) > 0.1


def test_label_loss_is_the_cross_entropy_of_cosines() -> None:
    cosines = Prototypes(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), scale=2.0)(tf.constant([[3.0, 0.0]]))
    loss = float(softmax_loss(tf.constant([0]), cosines, 0.2))
    assert loss == pytest.approx(-0.9 * 2 - 0.1 * 0 + np.log(np.exp(2) + 1), abs=1e-5)


def test_augmented_images_stay_near_their_colour() -> None:
    grey = np.full((64, 40, 40, 3), 128, np.uint8)
    images = augment(tf.constant(grey), 32, tf.random.Generator.from_seed(0)).numpy()
    assert images.shape == (64, 32, 32, 3)
    assert np.abs(images).max() < 0.5
    assert images.mean((1, 2, 3)).std() > 0.02
    again = augment(tf.constant(grey), 32, tf.random.Generator.from_seed(0)).numpy()
    assert np.array_equal(images, again)


@pytest.fixture
def untraced() -> Iterator[None]:
    """Steps as plain Python: in a run of a few steps most of the time would go into making graphs of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that tf.data goes on making graphs
        tf.config.run_functions_eagerly(True)
        yield
        tf.config.run_functions_eagerly(False)


class Killed(Exception):
    pass


def killed(checkpoint: Path) -> Row:
    raise Killed


@pytest.mark.usefixtures("untraced")
def test_a_run_learns_and_is_resumed(tmp_path: Path) -> None:
    checkpoint = tmp_path / "student.npz"
    messages: list[str] = []
    measured: list[Path] = []

    def measure(path: Path) -> Row:
        measured.append(path)
        return {"P@1": 0.5, "AP@10": float(len(measured))}

    start = partial(DistillationRun, NET, FIT, colour_views(), checkpoint, 1, notify=messages.append)
    with pytest.raises(Killed):
        start(killed).fit()
    start(measure).fit()
    assert messages[1] == "resuming after epoch 1"
    rows = read_rows(tmp_path / "log.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row.get("AP@10") for row in rows] == [None, 1, 2]
    assert all("P@1" not in row for row in rows)
    assert rows[-1]["features_loss"] < rows[0]["features_loss"] / 2
    trained = read_parameters(checkpoint, NET)
    assert {name: value.shape for name, value in trained.items()} == parameter_shapes(NET)
    start(killed).fit()  # nothing is left to do
    assert all(np.array_equal(read_parameters(checkpoint, NET)[name], trained[name]) for name in trained)


@pytest.mark.usefixtures("untraced")
def test_phases_follow_each_other_with_their_own_size_and_weights(tmp_path: Path) -> None:
    only = {"features": 1.0, "neighbours": 0.0, "labels": 0.0}
    phases = (Phase(1, 32, 0.5, only), Phase(2, 24, 1.0, {**only, "labels": 2.0}))
    run = DistillationRun(
        NET, replace(FIT, phases=phases), colour_views(), tmp_path / "student.npz", 1, lambda path: {}, print
    )
    run.fit()
    first, second, third = read_rows(tmp_path / "log.csv")
    assert first["loss"] == pytest.approx(first["features_loss"], abs=1e-4)
    for row in (second, third):
        assert row["loss"] == pytest.approx(row["features_loss"] + 2 * row["labels_loss"], abs=1e-3)


@pytest.mark.usefixtures("untraced")
def test_the_average_of_the_weights_is_kept(tmp_path: Path) -> None:
    still = replace(FIT, average_decay=0.9999, phases=(replace(FIT.phases[0], epochs=1),))
    parameters = {}
    for name, recipe in (("slow", still), ("quick", replace(still, average_decay=0.0))):
        checkpoint = tmp_path / name / "student.npz"
        DistillationRun(NET, recipe, colour_views(), checkpoint, 1, lambda path: {}, print).fit()
        parameters[name] = read_parameters(checkpoint, NET)
    norm = "resnet/group_norm/gamma"  # begins at 1
    assert np.abs(parameters["slow"][norm] - 1).max() < np.abs(parameters["quick"][norm] - 1).max() / 2


def test_a_batch_must_not_be_larger_than_the_photos(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="batch must be at most the number of photos, 8, got 16"):
        DistillationRun(NET, FIT, colour_views(8), tmp_path / "student.npz", 1, killed, print)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two classes, a teacher that returns the mean colour, and a recipe for them."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    for number, (split, label) in enumerate((split, label) for split in ("train", "val") for label in "ab"):
        (folder / split / label).mkdir(parents=True)
        for photo in range(6):
            colour = rng.integers(0, 100, 3) + (100 if label == "b" else 0)
            pixels = np.clip(colour + rng.normal(0, 20, (20, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / split / label / f"{number}{photo}.jpg")
    layers = tf.keras.layers
    tf.keras.Sequential([layers.Input((8, 8, 3)), layers.GlobalAveragePooling2D()]).save(folder / "teacher.keras")
    (folder / "teacher.json").write_text('{"input_size": 8}')
    (folder / "small.toml").write_text(SMALL.format(folder=folder))
    return folder


SMALL = """
seed = 3
network = "bit-tiny"
teacher = "{folder}/teacher.json"
[views]
size = 32
count = 3
min_area = 0.5
[[train]]
path = "train"
[[held_out]]
path = "val"
[fit]
batch = 4
learning_rate = 1e-3
weight_decay = 0.05
warmup_epochs = 1
average_decay = 0.9
precision = "bfloat16"
temperature = 0.1
label_scale = 16.0
label_smoothing = 0.1
measure_every = 2
[[fit.phases]]
epochs = 1
size = 32
whole = 0.2
weights = {{features = 4.0, neighbours = 1.0, labels = 0.5}}
[[fit.phases]]
epochs = 1
size = 24
whole = 0.6
weights = {{features = 4.0, neighbours = 1.0, labels = 4.0}}
"""


def test_a_run_killed_at_any_moment_is_resumed_and_measures_teacher_and_student(shop: Path, tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / "out/small.work"
    command = [sys.executable, "-m", "jobs.train_embedder", str(shop / "small.toml")]
    command += ["--data", str(shop), "--weights", str(shop / "teacher.keras"), "--out", str(out)]
    kill_when((work / "views/0").exists, command)
    assert not (work / "log.csv").exists()
    kill_when(lambda: len(read_rows(work / "log.csv")) >= 1, command)
    kill_when(lambda: len(read_rows(work / "log.csv")) >= 2, command)
    assert not (out / "small").exists()
    done = finish(command)
    assert [row["epoch"] for row in read_rows(out / "small/log.csv")] == [1, 2]
    manifest = json.loads((out / "small/manifest.json").read_text())
    assert manifest["metrics"]["teacher"].keys() == manifest["metrics"]["student"].keys() == {"val P@1", "val AP@10"}
    figures, name = done.stdout.splitlines()[:2], done.stdout.splitlines()[2]
    assert all(line.startswith("val ") and " teacher " in line and " student " in line for line in figures)
    assert name == f"{out / 'small'}: embedder 'small'"
    assert [path.name for path in out.iterdir()] == ["small"]
    trained, checkpoint = load(str(out / "small")), load("bit-tiny", out / "small/bit-tiny.npz")
    photo = [np.full((50, 40, 3), 90, np.uint8)]
    assert trained.embed(photo) == pytest.approx(checkpoint.embed(photo), abs=1e-5)
    assert checkpoint.dims == BIT["bit-tiny"].dims == 768
    finished = finish(command)
    assert finished.stdout == done.stdout and "epoch" not in finished.stderr


@pytest.mark.usefixtures("untraced")
def test_views_and_state_of_another_recipe_teacher_or_photos_are_refused(shop: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(shop, tmp_path / "shop"))
    recipe, teacher = read_distillation(shop / "small.toml"), data / "teacher.keras"
    damaged = data / "train/b" / sorted(path.name for path in (data / "train/b").iterdir())[-1]
    intact = damaged.read_bytes()
    damaged.write_bytes(b"no photo")
    with pytest.raises(TrainingError, match=rf"cannot read {damaged}: "):
        distil(recipe, data, teacher, tmp_path / "out", print)
    damaged.write_bytes(intact)
    with pytest.raises(TrainingError, match=r"cannot resume: .*small\.work was made with different photos; remove it"):
        distil(recipe, data, teacher, tmp_path / "out", print)
    shutil.rmtree(tmp_path / "out")
    short = replace(recipe, fit=replace(recipe.fit, phases=recipe.fit.phases[1:]), views=ViewRecipe(2, 24, 0.5))
    distil(replace(short, fit=replace(short.fit, warmup_epochs=0)), data, teacher, tmp_path / "out", print)
    with pytest.raises(TrainingError, match=r"cannot resume: .*small was made with a different recipe"):
        distil(recipe, data, teacher, tmp_path / "out", print)
    layers = tf.keras.layers
    other = tf.keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten()])
    other.save(tmp_path / "other.keras")
    with pytest.raises(
        TrainingError, match=r"small was made with a different recipe and a different teacher; remove it"
    ):
        distil(short, data, tmp_path / "other.keras", tmp_path / "out", print)


def test_curves_are_a_picture(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"epoch": n, "loss": 3 / n, **{f"{name}_loss": 1 / n for name in DISTILLATION_LOSSES}} for n in (1, 2)
    ]
    rows[1]["val AP@10"] = 0.5
    write_rows(tmp_path / "log.csv", rows)
    draw_log(tmp_path / "log.csv", tmp_path / "curves.svg", "bit-tiny")
    drawn = (tmp_path / "curves.svg").read_text()
    assert drawn.startswith("<svg") and "xmlns" in drawn
    assert all(name in drawn for name in ("features_loss", "val AP@10", "bit-tiny"))


def test_the_rate_rises_and_falls() -> None:
    rate = learning_rate(replace(FIT, learning_rate=1.0), steps=30)
    rates = [float(rate(step)) for step in range(31)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(1.0)
    assert rates[20] == pytest.approx(0.5)
    assert rates[30] == pytest.approx(0.0, abs=1e-6)
