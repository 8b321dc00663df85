"""Weights checked without TensorFlow, by their first bytes and the names in them: a wrong file is refused at once."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from tokenize import TokenError

import numpy as np

from hashsearch.embedders.architectures import Architecture, parameter_shapes
from hashsearch.errors import ConfigError, WeightsMismatch, WeightsNotFound

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_HEAD = "resnet/head/"  # parameters of a checkpoint that are not used
# What reading a damaged file raises, in numpy, zipfile, h5py and Keras.
DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    ArithmeticError,
    SyntaxError,
    TokenError,
    TypeError,
    AttributeError,
    EOFError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)


def is_address(source: str) -> bool:
    """Whether the weights are a TensorFlow Hub address."""
    return source.startswith(("https://", "http://"))


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its kind without one: Keras and TensorFlow write pages."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def check_source(source: str) -> None:
    """Check that `source` is a file or folder with a network, by its first bytes, or an address that can be fetched.

    Raises WeightsNotFound, WeightsMismatch, or ConfigError for an address without tensorflow-hub.
    """
    path = Path(source)
    if is_address(source):
        if find_spec("tensorflow_hub") is None:
            raise ConfigError(f"{source} needs tensorflow-hub: pip install 'hashsearch[hub]'")
    elif not path.exists():
        raise WeightsNotFound(f"weights must be a file, a folder or an https address, found no {source}")
    elif path.is_dir():
        if not any(path.glob("saved_model.pb*")):
            raise WeightsMismatch(f"{path} must be a network's file or a SavedModel folder: it has no saved_model.pb")
    elif path.suffix not in (".onnx", ".xml") and not zipfile.is_zipfile(path) and not _is_hdf5(path):
        raise WeightsMismatch(
            f"{path} must be an .onnx or .keras file or a SavedModel folder: it is neither zip nor HDF5"
        )


def read_parameters(path: Path, net: Architecture) -> dict[str, np.ndarray]:
    """The parameters of an `.npz` checkpoint as float32, without its head.

    Raises WeightsNotFound, and WeightsMismatch if names are missing or unknown, or shapes differ.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            parameters = {name: file[name] for name in _checked_names(file, path, net)}
    except DAMAGE as error:
        raise _not_a_checkpoint(path, error) from error
    _check_shapes({name: value.shape for name, value in parameters.items()}, path, net)
    return {name: value.astype(np.float32) for name, value in parameters.items()}


def check_parameter_names(path: Path, net: Architecture) -> None:
    """Check that an `.npz` checkpoint has the parameters of a network. Raises WeightsNotFound or WeightsMismatch."""
    try:
        with np.load(path, allow_pickle=False) as file:
            _checked_names(file, path, net)
    except DAMAGE as error:
        raise _not_a_checkpoint(path, error) from error


def check_parameters(path: Path, net: Architecture) -> None:
    """Read an `.npz` checkpoint whole, an array at a time, to find damage, other names and other shapes.

    Raises WeightsNotFound or WeightsMismatch.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            shapes = {name: file[name].shape for name in _checked_names(file, path, net)}
    except DAMAGE as error:
        raise _not_a_checkpoint(path, error) from error
    _check_shapes(shapes, path, net)


def _check_shapes(shapes: Mapping[str, tuple[int, ...]], path: Path, net: Architecture) -> None:
    wrong = [
        f"{name} must be {shape}, got {shapes[name]}"
        for name, shape in parameter_shapes(net).items()
        if shapes[name] != shape
    ]
    if wrong:
        raise WeightsMismatch(f"{path} must have the parameter shapes of this network; {'; '.join(wrong)}")


def _checked_names(file: np.lib.npyio.NpzFile, path: Path, net: Architecture) -> list[str]:
    names = {name for name in file.files if not name.startswith(_HEAD)}
    expected = parameter_shapes(net)
    missing, extra = tuple(sorted(expected.keys() - names)), tuple(sorted(names - expected.keys()))
    if missing or extra:
        listed = f"missing: {', '.join(missing) or 'none'}; extra: {', '.join(extra) or 'none'}"
        raise WeightsMismatch(f"{path} must have the parameter names of this network; {listed}", missing, extra)
    return list(expected)


def _not_a_checkpoint(path: Path, error: Exception) -> WeightsNotFound | WeightsMismatch:
    if isinstance(error, FileNotFoundError):
        return WeightsNotFound(f"weights must be an .npz checkpoint, found no file {path}")
    return WeightsMismatch(f"weights must be an .npz checkpoint, {path} cannot be read as one: {first_line(error)}")


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_HDF5_MAGIC)) == _HDF5_MAGIC
