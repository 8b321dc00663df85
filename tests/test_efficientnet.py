"""EfficientNet-Lite: its weights file, the network that runs against the one that is trained, ImageNet's classes."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from hashsearch.embedders import DEFAULT, LITE, engine, load, own_weights
from hashsearch.embedders.efficientnet import lite_model, lite_preprocessing, package_weights, read_checked
from hashsearch.embedders.torch_weights import read_tensors
from hashsearch.errors import WeightsMismatch, WeightsNotFound
from hashsearch.training.efficientnet import lite_trunk

PHOTOS = Path(__file__).parents[2] / "shared/datasets/imagenette-160.tar"
CLASSES = {"tench": 0, "english_springer": 217, "cassette_player": 482, "chain_saw": 491, "church": 497}
CLASSES |= {"french_horn": 566, "garbage_truck": 569, "gas_pump": 571, "golf_ball": 574, "parachute": 701}


class FloatStorage:
    """Named like PyTorch's, which the file names."""


FloatStorage.__module__ = "torch"


def _rebuild_tensor_v2(*_: Any) -> None: ...


_rebuild_tensor_v2.__module__ = "torch._utils"


class Tensor:
    def __init__(self, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.place = offset, shape, strides

    def __reduce__(self) -> Any:
        return _rebuild_tensor_v2, (Storage(), *self.place, False, OrderedDict())


class Storage:
    """Written as a persistent id."""


_Pickler: Any = pickle._Pickler  # the one in Python, which can be told what to write


class Pickler(_Pickler):  # type: ignore[misc]  # it is Any
    def persistent_id(self, value: Any) -> Any:
        return ("storage", FloatStorage, "7", "cpu", 6, None) if isinstance(value, Storage) else None

    def save_global(self, value: Any, name: str | None = None) -> None:
        if value in (FloatStorage, _rebuild_tensor_v2):
            self.write(f"c{value.__module__}\n{value.__name__}\n".encode())
        else:
            super().save_global(value, name)

    dispatch = {**_Pickler.dispatch, type: save_global, type(_rebuild_tensor_v2): save_global}  # noqa: RUF012


def write(path: Path, tensors: Any, values: np.ndarray | None = None) -> Path:
    """A weights file as PyTorch before 1.6 wrote it, with one storage of six floats."""
    storage = np.arange(6, dtype="<f4") if values is None else values
    with path.open("wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, tensors, ["7"]):
            Pickler(file, 2).dump(part)
        file.write(len(storage).to_bytes(8, "little") + storage.tobytes())
    return path


class TestFile:
    def test_a_tensor_is_read_with_its_offset_and_strides(self, tmp_path: Path) -> None:
        tensors = OrderedDict(turned=Tensor(0, (3, 2), (1, 3)), late=Tensor(4, (2,), (1,)))
        read = read_tensors(write(tmp_path / "net.pth", tensors))
        assert read["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
        assert read["late"].tolist() == [4, 5]

    def test_a_pickle_that_names_anything_else_is_refused_and_not_run(self, tmp_path: Path) -> None:
        class Evil:
            def __reduce__(self) -> Any:
                return os.mkdir, (str(tmp_path / "made"),)

        with pytest.raises(WeightsMismatch, match=r"nothing but tensors: it names posix\.mkdir"):
            read_tensors(write(tmp_path / "net.pth", OrderedDict(evil=Evil())))
        assert not (tmp_path / "made").exists()

    @pytest.mark.parametrize(
        ("tensor", "values", "said"),
        [
            (Tensor(4, (3,), (1,)), None, "must lie in its storage of 6 values, got the last at 6"),
            (Tensor(0, (2,), (-1,)), None, "must lie in its storage"),
            (Tensor(-1, (2,), (1,)), None, "must lie in its storage"),
            (Tensor(0, (2,), (1,)), np.zeros(5, "<f4"), "a storage must have 6 values, got 5"),
        ],
    )
    def test_tensors_outside_their_storage(
        self, tmp_path: Path, tensor: Tensor, values: np.ndarray | None, said: str
    ) -> None:
        with pytest.raises(WeightsMismatch, match=said):
            read_tensors(write(tmp_path / "net.pth", OrderedDict(net=tensor), values))

    def test_damage(self, tmp_path: Path) -> None:
        whole = write(tmp_path / "net.pth", OrderedDict(net=Tensor(0, (6,), (1,)))).read_bytes()
        for end in range(0, len(whole) - 1, 7):
            (tmp_path / "cut.pth").write_bytes(whole[:end])
            with pytest.raises(WeightsMismatch, match="must be a PyTorch file"):
                read_tensors(tmp_path / "cut.pth")
        with pytest.raises(WeightsNotFound, match="cannot be read"):
            read_tensors(tmp_path / "absent.pth")


def test_a_file_with_another_digest_is_refused(tmp_path: Path) -> None:
    file = tmp_path / LITE[DEFAULT].file
    content = bytearray(own_weights(DEFAULT).read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(WeightsMismatch, match=f"must have the sha256 {LITE[DEFAULT].digest} .*, got "):
        load(DEFAULT, file)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"), [("efficientnet-lite0", 64), ("efficientnet-lite1", 48), ("efficientnet-lite2", 63)]
)
def test_the_network_that_runs_is_the_one_that_is_trained(name: str, size: int) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (2, size, size, 3)).astype(np.float32)
    trained = lite_trunk(name, size, package_weights(name))(tf.constant(images), training=False).numpy()
    model = lite_model(LITE[name], read_checked(name, package_weights(name)), size)
    run = engine.openvino().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    got = np.array(run(images.transpose(0, 3, 1, 2))[0])
    assert got.shape == trained.shape == (2, 1280)
    assert np.abs(got - trained).max() < 1e-4 * np.abs(trained).max()


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOS.exists(), reason="imagenette's photos are not beside this checkout")
def test_its_classifier_names_photos_that_it_never_saw() -> None:
    """A wrong stride, padding or order of channels would leave a network that runs and names nothing."""
    import tarfile

    net = LITE[DEFAULT]
    model = lite_model(net, read_checked(DEFAULT, own_weights(DEFAULT)), 224, classes=True)
    network = engine.network_of(model, lite_preprocessing(DEFAULT), DEFAULT)
    photos: dict[str, list[np.ndarray]] = {name: [] for name in CLASSES}
    with tarfile.open(PHOTOS) as tar:
        for member in tar:
            parts = member.name.split("/")
            if member.isfile() and "val" in parts and len(photos[parts[-2]]) < 30:
                file = tar.extractfile(member)
                assert file
                photos[parts[-2]].append(np.asarray(Image.open(file).convert("RGB").resize((224, 224))))
    among_all, among_ten = [], []
    wanted = np.array(list(CLASSES.values()))
    for name, number in CLASSES.items():
        logits = network(np.stack(photos[name]))
        among_all.append((logits.argmax(axis=1) == number).mean())
        among_ten.append((wanted[logits[:, wanted].argmax(axis=1)] == number).mean())
    assert np.mean(among_ten) > 0.95
    assert np.mean(among_all) > 0.6, "photos of 160 px, among a thousand classes"
