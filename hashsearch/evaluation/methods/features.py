"""Features that methods compare pictures by: vectors, hashes, histograms, pixels and keypoints, in a table of names.

A feature is one array: a vector `(dims,) float32`, a hash `(bits // 8,) uint8` (or one row for each variant of a
query), keypoints as bytes.
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
    """One way to describe pictures."""

    @property
    def name(self) -> str:
        """Its name: "mobilenet-v2", "phash-64"."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that changes a feature, as JSON."""
        ...

    @property
    def of_queries(self) -> Features:
        """The features of queries, for most the same."""
        ...

    def warm(self) -> None:
        """Load what it needs, before threads use it."""
        ...

    def prepare(self, image: Image) -> Any:
        """The part that needs only one picture, called from many threads; a HashsearchError fails this picture."""
        ...

    def finish(self, prepared: Sequence[Any]) -> Sequence[Feature]:
        """The features of a batch of prepared pictures."""
        ...


class PerImageFeatures:
    """Base of features that need only one picture at a time, and are the same for queries."""

    @property
    def of_queries(self) -> Any:
        return self

    def warm(self) -> None: ...

    def finish(self, prepared: Sequence[Feature]) -> Sequence[Feature]:
        return prepared


@dataclass(frozen=True)
class NetworkFeatures(PerImageFeatures):
    """Vectors of an embedder; with `crop` "sift" of the box around most of the keypoints only.

    `network` is a name known to `embedders.load`, a .json file, or the path of a trained embedder.
    """

    network: str
    weights: str | None = None
    crop: str | None = None

    def __post_init__(self) -> None:
        if self.crop not in (None, "sift"):
            raise ConfigError(f"crop must be 'sift' or left out, got '{self.crop}'")
        if self.weights and self._trained:
            raise ConfigError(f"a trained embedder has its own weights, but {self.network} was given {self.weights}")

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
        """With the digest of the weights instead of their path, which may change."""
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
                f"the weights of {self.network} must be a file, a folder or a URL, but {source} does not exist"
            )
        return digest_files(Path(source))

    @cached_property
    def embedder(self) -> Embedder:
        """Loaded when first used."""
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
    """The picture scaled to `side` x `side` pixels and flattened, values 0 to 1."""

    side: int = 32

    @property
    def name(self) -> str:
        return f"pixels-{self.side}"

    @property
    def identity(self) -> Mapping[str, Any]:
        return asdict(self)

    def prepare(self, image: Image) -> Feature:
        levels: Feature = resize_square(image, self.side).astype(np.float32).ravel() / 255
        return levels


@dataclass(frozen=True)
class Colours(PerImageFeatures):
    """Colour histogram of a picture; the cosine of two is the Bhattacharyya coefficient."""

    @property
    def name(self) -> str:
        return "colour-histogram"

    @property
    def identity(self) -> Mapping[str, Any]:
        return {}

    def prepare(self, image: Image) -> Feature:
        histogram: Feature = colour_histograms([image])[0]
        return histogram


@dataclass(frozen=True)
class Hash(PerImageFeatures):
    """A perceptual hash by its name; with `turned` a query has the hashes of its eight orientations."""

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
        code: Feature = make_hash(self.hash).hash([image])[0]
        return code


@dataclass(frozen=True)
class Variants(PerImageFeatures):
    """The hashes of a picture in all eight orientations: rotated by multiples of 90 degrees, and mirrored."""

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


# By the sort of features that a method takes: names, and what makes these features.
FEATURES: dict[str, dict[str, Callable[..., Features]]] = {
    "vector": {**{name: partial(NetworkFeatures, name) for name in embedders.names()}, "pixels": Pixels},
    "histogram": {"colour": Colours},
    "hash": {name: partial(Hash, name) for name in HASHES},
    "local": {name: partial(Keypoints, name) for name in ("sift", "orb", "akaze")},
}


def _maker(takes: str, name: object) -> Callable[..., Features]:
    known = FEATURES[takes]
    if isinstance(name, str) and name in known:
        return known[name]
    if takes == "vector" and isinstance(name, str) and (name.endswith(".json") or is_trained(Path(name))):
        return partial(NetworkFeatures, name)
    also = ", a trained embedder or a .json file" if takes == "vector" else ""
    raise ConfigError(f"features of this kind must be one of {', '.join(known)}{also}, got {name!r}")


def options_of(takes: str, name: object) -> set[str]:
    """The names of the options of features; ConfigError lists the known features for an unknown name."""
    maker = _maker(takes, name)
    function, bound = (maker.func, len(maker.args)) if isinstance(maker, partial) else (maker, 0)
    return set(list(inspect.signature(function).parameters)[bound:])


def features_of(takes: str, name: object, options: Mapping[str, Any]) -> Features:
    """Features by name, of the sort that a kind of method takes. ConfigError for an unknown name or a wrong option."""
    return _maker(takes, name)(**options)
