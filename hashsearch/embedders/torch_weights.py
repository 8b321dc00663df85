"""Arrays from a PyTorch weights file of the format before 1.6, read without PyTorch and without running its code.

Such a file is a sequence of pickles: a magic number, a protocol version, the type sizes of the machine, a dict of
tensors that refer to their data by persistent ids, and the list of storages; then each storage as an int64 count and
raw values (torch/serialization.py, `_legacy_save`). A pickle can name any function to be called when it is read; here
all names but those of tensors are refused.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from hashsearch.embedders.weights import DAMAGE, first_line
from hashsearch.errors import WeightsMismatch, WeightsNotFound

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_STORAGES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Tensor(NamedTuple):
    """A tensor as a view of a storage; offset and strides count values."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a weights file by name, in C order.

    Raises WeightsNotFound without the file, and WeightsMismatch for damage or a pickle that names anything else than
    tensors.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsNotFound(f"weights must be a PyTorch file, {path} cannot be read: {error.strerror}") from error
    try:
        return _parse(io.BytesIO(data))
    except (*DAMAGE, pickle.UnpicklingError) as error:
        raise WeightsMismatch(f"{path} must be a PyTorch file with nothing but tensors: {first_line(error)}") from error


def _parse(file: io.BytesIO) -> dict[str, NDArray[Any]]:
    if (_Unpickler(file).load(), _Unpickler(file).load()) != (_MAGIC, _PROTOCOL):
        raise ValueError("it does not begin with the magic number and the protocol 1001")
    if not _Unpickler(file).load()["little_endian"]:
        raise ValueError("it was written on a big-endian machine")
    unpickler = _Unpickler(file)
    tensors = unpickler.load()
    storages = {key: _read_storage(file, *unpickler.storages[key]) for key in _Unpickler(file).load()}
    return {name: _view(storages[tensor.storage], tensor) for name, tensor in tensors.items()}


def _read_storage(file: io.BytesIO, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    if (written := int.from_bytes(file.read(8), "little")) != count:
        raise ValueError(f"a storage must have {count} values, got {written}")
    return np.frombuffer(file.read(count * dtype.itemsize), dtype, count)


def _view(storage: NDArray[Any], tensor: _Tensor) -> NDArray[Any]:
    """The tensor's values; many tensors are not contiguous in their storage, so the strides matter."""
    steps = zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((length - 1) * stride for length, stride in steps)
    if tensor.offset < 0 or min(tensor.strides, default=0) < 0 or last >= len(storage):
        raise ValueError(f"a tensor must lie in its storage of {len(storage)} values, got the last at {last}")
    strides = [stride * storage.itemsize for stride in tensor.strides]
    return np.ascontiguousarray(as_strided(storage[tensor.offset :], tensor.shape, strides, writeable=False))


class _Unpickler(pickle.Unpickler):
    """Takes ordered dicts and tensors, and refuses every other name."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, tuple[np.dtype[Any], int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, tuple(shape), tuple(strides))
        if module == "torch" and name in _STORAGES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, reference: Any) -> str:
        kind, storage, key, _, count, view = reference
        if kind != "storage" or view is not None:
            raise ValueError(f"it refers to {kind!r}")
        dtype = _STORAGES[str(storage)]
        self.storages[str(key)] = (dtype, int(count))
        return str(key)
