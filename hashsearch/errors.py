"""Every error this package raises on purpose.

    HashsearchError
    ├── ConfigError             a setting or option is wrong, or a part it names is not installed
    ├── ImageError              bytes that are no usable image
    │   ├── Unreadable          a file that cannot be opened
    │   ├── EmptyImage          zero bytes
    │   ├── NotAnImage          no known image format
    │   ├── TruncatedImage      the format is known, the data ends early or is damaged
    │   ├── ImageTooLarge       over the byte limit
    │   ├── TooManyPixels       over the pixel limit, told from the header
    │   └── InvalidCrop         a box outside the image or without area
    ├── FetchError              an image address that may not be, or could not be, fetched
    ├── EmbedderError           a network that cannot be made
    │   ├── UnknownEmbedder     a name that is not in the table
    │   ├── WeightsNotFound     the weights are not where they were said to be
    │   └── WeightsMismatch     parameter names or shapes that do not fit the network
    ├── HashingError            vectors, bits or sub-codes that do not fit
    ├── EncoderError            a saved encoder that cannot be used
    │   └── EncoderMismatch     the index was written by another encoder
    ├── VocabularyError         visual words that cannot be learned, loaded or used
    │   └── VocabularyMismatch  the index was written with other words, or with none
    ├── CatalogError            a catalog that cannot be read as one
    ├── SearchError             a query or search option outside its range
    ├── EvaluationError         a measurement that cannot be made of what was given
    ├── TrainingError           a recipe or training data that cannot be used
    ├── NodeError               the local Elasticsearch node
    └── StoreError              Elasticsearch answered otherwise than needed
        ├── StoreUnavailable    it does not answer, or is overloaded
        ├── IndexNotFound       no such index or alias
        └── ImageNotFound       no image with that id in the index

The message states the rule and the value got; `code` is the name that JSON answers and rejects files carry.
"""

from __future__ import annotations

import re


class HashsearchError(Exception):
    """Base of all errors here. `code` is the class name in snake case: `ImageTooLarge` -> `image_too_large`."""

    code = "hashsearch_error"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


class ConfigError(HashsearchError):
    """A setting or option is wrong, or a part it names is not installed."""


class ImageError(HashsearchError):
    """Bytes that are no usable image."""


class Unreadable(ImageError):
    """A file that cannot be opened."""


class EmptyImage(ImageError):
    """Zero bytes."""


class NotAnImage(ImageError):
    """No known image format."""


class TruncatedImage(ImageError):
    """The format is known, the data ends early or is damaged."""


class ImageTooLarge(ImageError):
    """Over the byte limit."""


class TooManyPixels(ImageError):
    """Over the pixel limit, told from the header before decoding."""


class InvalidCrop(ImageError):
    """A box outside the image or without area."""


class FetchError(HashsearchError):
    """An image address that may not be, or could not be, fetched."""


class EmbedderError(HashsearchError):
    """A network that cannot be made."""


class UnknownEmbedder(EmbedderError):
    """A name that is not in the table."""


class WeightsNotFound(EmbedderError):
    """The weights are not where they were said to be."""


class WeightsMismatch(EmbedderError):
    """Parameter names or shapes that do not fit the network; `missing` and `extra` list the names."""

    def __init__(self, message: str, missing: tuple[str, ...] = (), extra: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.missing = missing
        self.extra = extra


class HashingError(HashsearchError):
    """Vectors, bits or sub-codes that do not fit."""


class EncoderError(HashsearchError):
    """A saved encoder that cannot be used."""


class EncoderMismatch(EncoderError):
    """The index was written by another encoder; carries both fingerprints."""

    def __init__(self, index: str, indexed_with: str, encoder: str) -> None:
        super().__init__(
            f"index '{index}' was written with encoder {indexed_with} and must be read and written with it, "
            f"but the encoder in use is {encoder}"
        )
        self.index = index
        self.indexed_with = indexed_with
        self.encoder = encoder


class VocabularyError(HashsearchError):
    """Visual words that cannot be learned, loaded or used."""


class VocabularyMismatch(VocabularyError):
    """The index was written with other visual words, or with none; carries both fingerprints."""

    def __init__(self, index: str, indexed_with: str | None, vocabulary: str | None) -> None:
        used = f"the one in use is {vocabulary}" if vocabulary else "none was given"
        super().__init__(
            f"index '{index}' was written with visual words of vocabulary {indexed_with} and must be read and written "
            f"with it, but {used}"
            if indexed_with
            else f"index '{index}' has images without visual words: index them again under another name, "
            "with `python -m jobs.index_catalog --vocabulary FILE`"
        )
        self.index = index
        self.indexed_with = indexed_with
        self.vocabulary = vocabulary


class CatalogError(HashsearchError):
    """A catalog that cannot be read as one."""


class SearchError(HashsearchError):
    """A query or search option outside its range."""


class EvaluationError(HashsearchError):
    """A measurement that cannot be made of what was given."""


class TrainingError(HashsearchError):
    """A recipe or training data that cannot be used."""


class NodeError(HashsearchError):
    """The local Elasticsearch node."""


class StoreError(HashsearchError):
    """Elasticsearch answered otherwise than needed."""


class StoreUnavailable(StoreError):
    """It does not answer, or is overloaded."""


class IndexNotFound(StoreError):
    """No such index or alias."""


class ImageNotFound(StoreError):
    """No image with that id in the index."""
