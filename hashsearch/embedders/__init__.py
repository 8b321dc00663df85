"""Images to vectors: `load_embedder(name)`. TensorFlow is imported only for networks that the engine cannot read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hashsearch.embedders import published, zoo
from hashsearch.embedders.architectures import BIT, LITE, Architecture, Lite
from hashsearch.embedders.efficientnet import lite_preprocessing, load_lite, package_weights, read_checked
from hashsearch.embedders.embedder import Embedder
from hashsearch.embedders.preprocessing import Preprocessing, read_preprocessing
from hashsearch.embedders.tensorflow import import_tensorflow
from hashsearch.embedders.trained import is_trained, load_trained, read_trained
from hashsearch.embedders.weights import check_parameter_names, check_source
from hashsearch.embedders.zoo import APPLICATIONS, Application
from hashsearch.errors import EmbedderError, UnknownEmbedder, WeightsMismatch, WeightsNotFound

__all__ = [
    "APPLICATIONS",
    "BIT",
    "DEFAULT",
    "LITE",
    "SAVED",
    "Embedder",
    "Preprocessing",
    "check",
    "import_tensorflow",
    "load",
    "load_embedder",
    "located",
    "names",
    "own_weights",
    "ships",
    "trained_names",
]

BUNDLED = Path(__file__).parent.parent / "models"
DEFAULT = "efficientnet-lite0"
_SHIPPED = (DEFAULT, "bit-tiny")  # with this package or one that it depends on


# Saved networks whose preprocessing is known; that of others is in a JSON file.
SAVED = {"mobilenet-v2": Preprocessing(224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))}


def names() -> list[str]:
    """The names of embedders that are known without a folder of trained ones."""
    return [*LITE, *BIT, *SAVED, *APPLICATIONS]


def trained_names(trained: Path) -> list[str]:
    """The names of the trained embedders in a folder; a folder with one of `names()` is not among them."""
    folders = trained.iterdir() if trained.is_dir() else ()
    return sorted(folder.name for folder in folders if is_trained(folder) and folder.name not in names())


def located(name: str, trained: Path) -> str:
    """The path of the trained embedder with that name in the folder `trained`, else the name unchanged."""
    return str(trained / name) if name not in names() and is_trained(trained / name) else name


def load_embedder(
    name: str,
    weights: str | Path | None = None,
    preprocessing: Mapping[str, Any] | Preprocessing | None = None,
    trained: Path | None = None,
    fetched: Path | None = None,
) -> Embedder:
    """Load an embedder, a network that turns images into vectors.

    Parameters
    ----------
    name : str
        One of `names()`, the folder of a trained embedder, its name in the folder `trained`, or a `.json` file with the
        fields of `Preprocessing`, for any network that returns one vector per image.
    weights : str or Path, optional
        A `.onnx` or `.keras` file, a SavedModel folder or a TensorFlow Hub address; for the `bit-...` networks also an
        `.npz` checkpoint, for Keras applications also an HDF5 file. Not needed for `efficientnet-lite...` and
        `bit-tiny`, for trained embedders, and for those that `hashsearch embedders fetch` downloaded.
    preprocessing : mapping or Preprocessing, optional
        Fields of `Preprocessing` that override those of the network, such as `precision`; or all of it.
    trained : Path, optional
        Folder of trained embedders.
    fetched : Path, optional
        Folder of downloaded `bit-...` weights; those of Keras applications are in Keras's cache.

    Returns
    -------
    Embedder
        `embedder.embed(images)` takes n RGB images `(height, width, 3) uint8` to vectors `(n, dims) float32` of
        length 1.

    Raises
    ------
    UnknownEmbedder
        For an unknown name; the message lists the known ones.
    WeightsNotFound, WeightsMismatch
        For weights that are missing or do not fit, also by the length of their vectors.
    EmbedderError
        For a network whose output is not one vector per image.
    ConfigError
        For a wrong `.json` file, or an address without tensorflow-hub.
    """
    name, known = _resolved(name, preprocessing, trained)
    if not known:
        _check_no_weights(Path(name), weights)
        assert not isinstance(preprocessing, Preprocessing)  # else the name is known
        return load_trained(Path(name), preprocessing or {})
    source = str(weights or own_weights(name, fetched))
    embedder = _load_network(name, source, _complete(name, source, preprocessing or {}))
    if known_dims(name) not in (None, embedder.dims):
        raise WeightsMismatch(
            f"{name} must return vectors of {known_dims(name)} dims, got {embedder.dims} from {source}: a network of "
            "another kind is used with --embedder FILE.json"
        )
    return embedder


load = load_embedder


def check(
    name: str, weights: str | Path | None = None, trained: Path | None = None, fetched: Path | None = None
) -> int | None:
    """Check an embedder before TensorFlow is imported: its name, weights file and preprocessing.

    Parameters
    ----------
    name, weights, trained, fetched
        As for `load_embedder`.

    Returns
    -------
    int or None
        The length of the embedder's vectors, None if only its weights tell.

    Raises
    ------
    UnknownEmbedder, WeightsNotFound, WeightsMismatch, EmbedderError, ConfigError
        As `load_embedder`. Damage inside a Keras file or SavedModel is found only when it is loaded.
    """
    name, known = _resolved(name, None, trained)
    if not known:
        _check_no_weights(Path(name), weights)
        return read_trained(Path(name)).dims
    if name.endswith(".json"):
        read_preprocessing(Path(name))
    if weights and name in LITE:
        read_checked(name, Path(weights))
    elif weights and name in BIT and str(weights).endswith(".npz"):
        check_parameter_names(Path(weights), BIT[name])
    elif weights:
        check_source(str(weights))
    else:
        own_weights(name, fetched)
    return known_dims(name)


def known_dims(name: str) -> int | None:
    """The length of the vectors of a network with an architecture here; None for others, whose weights tell."""
    nets: Mapping[str, Architecture | Application | Lite] = {**BIT, **LITE, **APPLICATIONS}
    return nets[name].dims if name in nets else None


def _resolved(
    name: str, preprocessing: Mapping[str, Any] | Preprocessing | None, trained: Path | None
) -> tuple[str, bool]:
    """The name, or the path of a trained embedder, and whether it is not a trained one. Raises UnknownEmbedder."""
    if trained is not None:
        name = located(name, trained)
    described = isinstance(preprocessing, Preprocessing) or (preprocessing and not is_trained(Path(name)))
    known = name in names() or name.endswith(".json") or bool(described)
    if not known and not Path(name).is_dir():
        listed = ", ".join([*names(), *(trained_names(trained) if trained else [])])
        raise UnknownEmbedder(
            f"an embedder must be one of {listed}, the folder of a trained one or a .json file, got '{name}'"
        )
    return name, known


def own_weights(name: str, fetched: Path | None = None) -> Path:
    """The weights of a network that needs no others: bundled, or downloaded, those of BiT to the folder `fetched`.

    WeightsNotFound if there are none, WeightsMismatch if the file was changed.
    """
    if name == "bit-tiny":
        return BUNDLED / "bit-tiny.npz"
    if name in LITE:
        return package_weights(name)
    if name in published.FILES:
        return published.found(name, fetched)
    raise WeightsNotFound(f"{name} does not ship with this package: its weights must be given, got none")


def ships(name: str, weights: Path) -> bool:
    """Whether these weights are installed with this package, so that an encoder need not keep them."""
    return name in _SHIPPED and weights == own_weights(name)


def _check_no_weights(folder: Path, weights: str | Path | None) -> None:
    if weights:
        raise EmbedderError(f"a trained embedder has its own weights, for {folder} got {weights}")


def _load_network(name: str, source: str, preprocessing: Preprocessing) -> Embedder:
    from hashsearch.embedders.saved import load_saved

    if name in LITE:
        return load_lite(name, preprocessing, Path(source))
    if name in BIT and source.endswith(".npz"):
        from hashsearch.embedders.bit import load_bit

        return load_bit(name, BIT[name], preprocessing, Path(source))
    if name in APPLICATIONS and source.endswith(zoo.HDF5):
        import_tensorflow(f"to read {source}")
        return zoo.load_application(name, APPLICATIONS[name], preprocessing, Path(source))
    return load_saved(Path(name).stem, preprocessing, source)


def _complete(name: str, source: str, given: Mapping[str, Any] | Preprocessing) -> Preprocessing:
    if isinstance(given, Preprocessing):
        return given
    named = name in names() or name.endswith(".json")
    return replace(_preprocessing(name, source), **given) if named else Preprocessing.of(given)


def _preprocessing(name: str, source: str) -> Preprocessing:
    """The preprocessing of a network."""
    if name in LITE:
        return lite_preprocessing(name)
    if name in SAVED:
        return SAVED[name]
    if name in BIT and source.endswith(".npz"):
        return Preprocessing(BIT[name].input_size, range=(-1.0, 1.0))
    if name in APPLICATIONS and source.endswith((".keras", *zoo.HDF5)):
        return APPLICATIONS[name].preprocessing
    if name in BIT or name in APPLICATIONS:  # as published on TensorFlow Hub, these take 0..1
        return Preprocessing(BIT[name].input_size if name in BIT else APPLICATIONS[name].preprocessing.input_size)
    return read_preprocessing(Path(name))
