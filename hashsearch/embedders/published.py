"""Weights that are published by name: their addresses, what is known of the files, and where they are kept here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hashsearch.embedders.architectures import BIT
from hashsearch.embedders.downloading import Progress, download, silent
from hashsearch.embedders.embedder import digest_files
from hashsearch.embedders.weights import check_parameters
from hashsearch.errors import ConfigError, UnknownEmbedder, WeightsMismatch, WeightsNotFound
from hashsearch.files import read_json, write_json

_BIT = "https://storage.googleapis.com/bit_models"
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class PublishedFile:
    """A file by its address, with its size in bytes and its md5 where they are published."""

    address: str
    size: int | None = None
    md5: str | None = None

    @property
    def name(self) -> str:
        """Its name, which it keeps here."""
        return self.address.rsplit("/", 1)[1]


def _bit(name: str) -> PublishedFile:
    """Google publishes neither sizes nor digests: the parameters are checked, and the sha256 is that of the first."""
    kind, size = name.split("-")[1:]
    return PublishedFile(f"{_BIT}/BiT-{kind.upper()}-{size.capitalize()}.npz")


# By the name of the network. Of Keras the md5 is the one that Keras pins.
FILES: dict[str, PublishedFile] = {name: _bit(name) for name in BIT if name != "bit-tiny"} | {
    "vgg16": PublishedFile(
        f"{_KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        58_889_256,
        "6d6bbae143d832006294945121d1f1fc",
    ),
    "resnet50": PublishedFile(
        f"{_KERAS}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        94_765_736,
        "4d473c1dd8becc155b73f8504c6f6626",
    ),
    "inception-v3": PublishedFile(
        f"{_KERAS}/inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        87_910_968,
        "bcbd6486424b2319ff4ef7d526e38f63",
    ),
    "inception-resnet-v2": PublishedFile(
        f"{_KERAS}/inception_resnet_v2/inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        219_055_592,
        "d19885ff4a710c122648d3b5c3b684e4",
    ),
}


def check_name(name: str) -> None:
    """UnknownEmbedder unless the weights of a network of that name are published."""
    if name not in FILES:
        raise UnknownEmbedder(f"a network whose weights are published must be one of {', '.join(FILES)}, got '{name}'")


def folder_of(name: str, fetched: Path | None) -> Path | None:
    """Where the file of a network is kept: BiT's in the folder `fetched`, Keras's in Keras's cache."""
    if name in BIT:
        return fetched
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


def found(name: str, fetched: Path | None) -> Path:
    """The downloaded file of a network.

    Raises WeightsNotFound, whose message names the command that downloads it, and WeightsMismatch if it was changed.
    """
    folder = folder_of(name, fetched)
    if folder is None or not (folder / FILES[name].name).is_file():
        raise WeightsNotFound(f"{name} does not ship with this package: {remedy(name, fetched)}")
    path = folder / FILES[name].name
    if failure := _changed(FILES[name], path):
        raise WeightsMismatch(
            f"{path} {failure}: remove it and run `hashsearch embedders fetch {name}`, or name other weights with "
            "--weights FILE"
        )
    return path


def found_files(fetched: Path) -> dict[str, str]:
    """The paths of the downloaded files in a folder by the names of their networks."""
    paths = {name: fetched / file.name for name, file in FILES.items() if name in BIT}
    return {name: str(path) for name, path in paths.items() if path.is_file()}


def remedy(name: str, fetched: Path | None) -> str:
    """What a person can do when the file of a network is missing."""
    also = "," if folder_of(name, fetched) else ", or"
    return f"run `hashsearch embedders fetch {name}`{also} {by_hand(name, fetched)}"


def fetch(name: str, fetched: Path, progress: Progress = silent) -> Path:
    """Download the published weights of a network, unless they are there.

    Parameters
    ----------
    name : str
        One of `FILES`.
    fetched : Path
        Folder for BiT's files. Keras's go to Keras's cache, where Keras finds them too.
    progress : callable
        Takes how many bytes are there, and how many there will be.

    Returns
    -------
    Path
        The file. Beside one whose digest is not published, a JSON file has the sha256 of the first download.

    Raises
    ------
    UnknownEmbedder
        No weights of that name are published.
    WeightsNotFound
        The address cannot be reached; the message says where to put the file by hand. What was downloaded is kept, and
        the next call continues there.
    WeightsMismatch
        The file at the address, or the one that is already there, is not the expected one.
    """
    check_name(name)
    file, folder = FILES[name], folder_of(name, fetched)
    assert folder is not None  # `fetched` is one
    path = folder / file.name
    if path.is_file():
        found(name, fetched)
        if not file.md5 and _recorded(path) is None:  # put there by hand
            _accept(name, path, path)
        return path
    try:
        download(file.address, path, lambda draft: _accept(name, draft, path), progress)
    except WeightsNotFound as error:
        raise WeightsNotFound(f"{error}; {by_hand(name, fetched)}") from error
    except WeightsMismatch as error:
        raise WeightsMismatch(
            f"{file.address} has another file than expected: {error}; {by_hand(name, fetched)}",
            error.missing,
            error.extra,
        ) from error
    return path


def _accept(name: str, draft: Path, path: Path) -> None:
    """Check a file that will be at `path`; where its digest is not published, record the one that it has."""
    file, size = FILES[name], draft.stat().st_size
    if file.size not in (None, size):
        raise WeightsMismatch(f"{file.name} must have {file.size} bytes, got {size}")
    if file.md5:
        if failure := _changed(file, draft):
            raise WeightsMismatch(f"{file.name} {failure}")
        return
    check_parameters(draft, BIT[name])
    sha256 = digest_files(draft)
    if (former := _recorded(path)) not in (None, sha256):
        raise WeightsMismatch(
            f"{file.name} had the sha256 {former} at the first download and has {sha256} now: remove {_record(path)} "
            "to accept it"
        )
    write_json(_record(path), {"address": file.address, "bytes": size, "sha256": sha256})


def _changed(file: PublishedFile, path: Path) -> str | None:
    """How a file differs from the published one, or from the first download; None if it does not, as far as known."""
    if file.md5:
        md5 = digest_files(path, "md5")
        return None if md5 == file.md5 else f"must have the md5 {file.md5}, got {md5}"
    recorded = _recorded(path)
    if recorded is None or digest_files(path) == recorded:
        return None
    return f"was changed since it was downloaded, its sha256 must be {recorded}"


def by_hand(name: str, fetched: Path | None) -> str:
    """What a person can do without a connection."""
    file, folder = FILES[name], folder_of(name, fetched)
    known = f" (md5 {file.md5})" if file.md5 else ""
    put = f"put {file.name}{known} into {folder}, or " if folder else ""
    return f"{put}name {'it' if put else file.name} with --weights FILE"


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _recorded(path: Path) -> str | None:
    """The sha256 of the first download; None without one, or if the record cannot be read."""
    try:
        sha256 = (read_json(_record(path)) or {}).get("sha256")
    except ConfigError:
        return None
    return sha256 if isinstance(sha256, str) else None
