"""Pictures to what a method compares: vectors, hashes, histograms, pixels, keypoints; one table of names.

A feature is one array: a vector `(dims,) float32`, a hash `(bits // 8,) uint8` (or one for each variant of a query),
keypoints as bytes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hashsearch import embedders
from hashsearch.descriptors.histogram import colour_histograms
from hashsearch.descriptors.phash import HASHES, make_hash
from hashsearch.embedders.embedder import digest_files
from hashsearch.embedders.trained import Trained, is_trained, read_trained
from hashsearch.errors import ConfigError, EmbedderError
from hashsearch.images.decoding import crop, resize_square

if TYPE_CHECKING:
    from hashsearch.descriptors.keypoints import LocalExtractor
    from hashsearch.embedders import Embedder

Image = NDArray[np.uint8]
Feature = NDArray[Any]


class Features(Protocol):
    """One way to see pictures."""

    @property
    def name(self) -> str:
        """What it is called: "mobilenet-v2", "phash-64"."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that changes a feature, as JSON."""
        ...

    @property
    def of_queries(self) -> Features:
        """How queries are seen: the same for most."""
        ...

    def warm(self) -> None:
        """Load what it needs, before many threads ask for it."""
        ...

    def prepare(self, image: Image) -> Any:
        """What can be done with one picture alone, from many threads; a HashsearchError fails this picture."""
        ...

    def finish(self, prepared: Sequence[Any]) -> Sequence[Feature]:
        """The features of what was prepared, a batch at a time."""
        ...


class PerImageFeatures:
    """Of features that are made of each picture alone, for queries as for others."""

    @property
    def of_queries(self) -> Any:
        return self

    def warm(self) -> None: ...

    def finish(self, prepared: Sequence[Feature]) -> Sequence[Feature]:
        return prepared


@dataclass(frozen=True)
class Network(PerImageFeatures):
    """Vectors of an embedder; with `crop` "sift" it sees only the box that holds the mass of the keypoints.

    `network` is what `embedders.load` takes without a folder of trained ones: those go by their path.
    """

    network: str
    weights: str | None = None
    crop: str | None = None

    def __post_init__(self) -> None:
        if self.crop not in (None, "sift"):
            raise ConfigError(f"crop must be 'sift' or left out, got '{self.crop}'")
        if self.weights and self._trained:
            raise ConfigError(f"a trained embedder has its own weights, for {self.network} got {self.weights}")

    @property
    def name(self) -> str:
        return f"{self._stem}{f' {self.crop} crop' if self.crop else ''}"

    @property
    def _stem(self) -> str:
        return self._trained.name if self._trained else Path(self.network).stem

    @cached_property
    def _trained(self) -> Trained | None:
        if self.network in embedders.names() or not is_trained(Path(self.network)):
            return None
        return read_trained(Path(self.network))

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """With the digest of the weights instead of their place: they may lie elsewhere tomorrow."""
        return {"network": self._stem, "weights": self._digest(), "crop": self.crop}

    def _digest(self) -> str:
        if self._trained:
            return self._trained.digest
        try:
            source = self.weights or str(embedders.own_weights(self.network))
        except EmbedderError as error:
            raise ConfigError(str(error)) from error
        if source.startswith(("http://", "https://")):
            return source
        if not Path(source).exists():
            raise ConfigError(
                f"the weights of {self.network} must be a file, a folder or an address, found no {source}"
            )
        return digest_files(Path(source))

    @cached_property
    def embedder(self) -> Embedder:
        """Loaded when there is a picture to see."""
        return embedders.load(self.network, self.weights)

    def warm(self) -> None:
        size = self.embedder.input_size
        self.embedder.embed([np.zeros((size, size, 3), np.uint8)])

    def prepare(self, image: Image) -> Image:
        if self.crop:
            from hashsearch.descriptors.keypoints import LocalExtractor, keypoint_box

            image = crop(image, keypoint_box(LocalExtractor(self.crop).extract(image)))
        return self.embedder.prepare(image)

    def finish(self, prepared: Sequence[Image]) -> Sequence[Feature]:
        return list(self.embedder.embed(prepared))


@dataclass(frozen=True)
class Pixels(PerImageFeatures):
    """The picture itself, `side` pixels wide and high, values 0..1 in a row."""

    side: int = 32

    @property
    def name(self) -> str:
        return f"pixels-{self.side}"

    @property
    def identity(self) -> Mapping[str, Any]:
        return asdict(self)

    def prepare(self, image: Image) -> Feature:
        return resize_square(image, self.side).astype(np.float32).ravel() / 255


@dataclass(frozen=True)
class Colours(PerImageFeatures):
    """How much of a picture has which colour: a vector whose cosine is the Bhattacharyya coefficient."""

    @property
    def name(self) -> str:
        return "colour-histogram"

    @property
    def identity(self) -> Mapping[str, Any]:
        return {}

    def prepare(self, image: Image) -> Feature:
        return colour_histograms([image])[0]


@dataclass(frozen=True)
class Hash(PerImageFeatures):
    """A perceptual hash by its name; with `turned` a query's are those of its eight turned and mirrored variants."""

    hash: str
    turned: bool = False

    @property
    def name(self) -> str:
        return self.hash

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"hash": self.hash}

    @property
    def of_queries(self) -> Features:
        return Variants(self.hash) if self.turned else self

    def prepare(self, image: Image) -> Feature:
        return make_hash(self.hash).hash([image])[0]


@dataclass(frozen=True)
class Variants(PerImageFeatures):
    """The hashes of a picture in all eight ways that it can be turned and mirrored, in steps of 90 degrees."""

    hash: str

    @property
    def name(self) -> str:
        return f"{self.hash} turned"

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"variants of": self.hash}

    def prepare(self, image: Image) -> Feature:
        return make_hash(self.hash).variants(image)


@dataclass(frozen=True)
class Keypoints(PerImageFeatures):
    """Local features as bytes, which `LocalFeatures.from_array` reads."""

    kind: str
    keypoints: int = 256
    side: int = 320

    def __post_init__(self) -> None:
        self._extractor()  # refuses numbers outside their range

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.keypoints}"

    @property
    def identity(self) -> Mapping[str, Any]:
        return asdict(self)

    def prepare(self, image: Image) -> Feature:
        return self._extractor().extract(image).to_array()

    def _extractor(self) -> LocalExtractor:
        from hashsearch.descriptors.keypoints import LocalExtractor

        return LocalExtractor(**asdict(self))


# By what a method takes: the names of features, and the class that makes them; its first field is the name where the
# class has several.
FEATURES: dict[str, dict[str, Callable[..., Features]]] = {
    "vector": {**{name: partial(Network, name) for name in embedders.names()}, "pixels": Pixels},
    "histogram": {"colour": Colours},
    "hash": {name: partial(Hash, name) for name in HASHES},
    "local": {name: partial(Keypoints, name) for name in ("sift", "orb", "akaze")},
}


def _maker(takes: str, name: object) -> Callable[..., Features]:
    known = FEATURES[takes]
    if isinstance(name, str) and name in known:
        return known[name]
    if takes == "vector" and isinstance(name, str) and (name.endswith(".json") or is_trained(Path(name))):
        return partial(Network, name)
    also = ", a trained embedder or a .json file" if takes == "vector" else ""
    raise ConfigError(f"features here must be one of {', '.join(known)}{also}, got {name!r}")


def options_of(takes: str, name: object) -> set[str]:
    """The names of the options of features; ConfigError for a name not in the table lists the known ones."""
    maker = _maker(takes, name)
    of, given = (maker.func, len(maker.args)) if isinstance(maker, partial) else (maker, 0)
    return set(list(inspect.signature(of).parameters)[given:])


def features_of(takes: str, name: object, options: Mapping[str, Any]) -> Features:
    """Features by name, of those that a kind of method takes. ConfigError for a name or option that is not."""
    return _maker(takes, name)(**options)
