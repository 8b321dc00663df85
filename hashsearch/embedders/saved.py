"""Networks saved elsewhere: ONNX files, SavedModel folders, OpenVINO's own files, Keras files, Hub addresses.

The engine reads the first three. Keras files, and SavedModels that it cannot read, go through TensorFlow once; the
result is an exported network: a folder with the network in the engine's format and the digest of what it was made from.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hashsearch.embedders import engine
from hashsearch.embedders.embedder import Embedder, digest_files
from hashsearch.embedders.hub import resolve
from hashsearch.embedders.preprocessing import Preprocessing
from hashsearch.embedders.tensorflow import import_tensorflow
from hashsearch.embedders.weights import DAMAGE, first_line, is_address
from hashsearch.errors import WeightsMismatch, WeightsNotFound

ENGINE_FORMATS = (".onnx", ".xml")
_ABOUT, _NETWORK, _FILES = "exported.json", "network.xml", ("network.xml", "network.bin")


def load_saved(name: str, preprocessing: Preprocessing, source: str, classes: Sequence[str] = ()) -> Embedder:
    """The embedder of a saved network. Raises WeightsNotFound, WeightsMismatch, or EmbedderError for a wrong output."""
    path = find(source)
    if is_exported(path):
        return _embedder(name, preprocessing, _read(path / _NETWORK), path, _source_digest(path), classes)
    if path.suffix in ENGINE_FORMATS:
        return load_converted(name, preprocessing, _read(path), path, classes)
    if path.is_dir() and (model := _read(path)).inputs:  # one without a signature seems to be empty
        return _embedder(name, preprocessing, model, path, digest_files(path), classes)
    import_tensorflow(f"to read {path}")
    from hashsearch.embedders.converted import convert_saved

    model = convert_saved(path, preprocessing.input_size)
    return load_converted(name, preprocessing, model, path, classes)


def load_converted(
    name: str, preprocessing: Preprocessing, model: engine.Model, source: Path, classes: Sequence[str] = ()
) -> Embedder:
    """The embedder of a model that was read from a file in another format than the engine's."""
    digest = _digest_with_data(source)
    network = engine.network_of(model, preprocessing, source)
    return Embedder(name, network.dims, digest, preprocessing, export(model, digest), network, classes)


def _embedder(
    name: str, preprocessing: Preprocessing, model: engine.Model, path: Path, digest: str, classes: Sequence[str]
) -> Embedder:
    network = engine.network_of(model, preprocessing, path)
    return Embedder(name, network.dims, digest, preprocessing, path, network, classes)


def _read(path: Path) -> engine.Model:
    try:
        return engine.read(path)
    except engine.ENGINE_ERRORS as error:
        raise WeightsMismatch(f"{path} must be a network that OpenVINO reads, but: {engine.reason(error)}") from error


def find(source: str) -> Path:
    """The file or folder of a saved network; an address is fetched once into TensorFlow Hub's cache."""
    if is_address(source):
        return Path(resolve(source))
    if not Path(source).exists():
        raise WeightsNotFound(f"weights must be a file, a folder or an https address, found no {source}")
    return Path(source)


def _digest_with_data(path: Path) -> str:
    """The digest of a network's file, and of the files beside it that hold its weights if it is split."""
    beside = [path.with_suffix(".bin"), *(path.with_name(path.name + ending) for ending in (".data", "_data"))]
    digests = [digest_files(file) for file in (path, *beside) if file.is_file()]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def is_exported(path: Path) -> bool:
    """Whether a folder is an exported network."""
    return (path / _ABOUT).is_file()


def export(model: engine.Model, source_digest: str) -> Path:
    """The model as an exported network, in a folder that lasts as long as this process; an encoder keeps a copy."""
    folder = Path(tempfile.mkdtemp(prefix="hashsearch-network-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    engine.save(model, folder / _NETWORK)
    about = {"source": source_digest, "files": {name: digest_files(folder / name) for name in _FILES}}
    (folder / _ABOUT).write_text(json.dumps(about))
    return folder


def _source_digest(folder: Path) -> str:
    """The digest of what an exported network was made from. WeightsMismatch if it was changed since."""
    try:
        about = json.loads((folder / _ABOUT).read_text())
        source, files = str(about["source"]), {name: str(about["files"][name]) for name in _FILES}
        changed = [name for name, digest in files.items() if digest_files(folder / name) != digest]
    except DAMAGE as error:
        raise WeightsMismatch(f"{folder} must be an exported network: {first_line(error)}") from error
    if changed:
        raise WeightsMismatch(f"{folder} was changed since it was exported: {', '.join(changed)}")
    return source
