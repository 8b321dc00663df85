"""Every error that this package raises on purpose.

    HashsearchError
    ├── ConfigError             invalid setting or option, or a component that is not installed
    ├── ImageError              image bytes that cannot be used
    │   ├── Unreadable          the file cannot be opened
    │   ├── EmptyImage          zero bytes
    │   ├── NotAnImage          unknown image format
    │   ├── TruncatedImage      the image data is incomplete or damaged
    │   ├── ImageTooLarge       more bytes than the limit
    │   ├── TooManyPixels       more pixels than the limit, according to the header
    │   └── InvalidCrop         the box is outside the image or has no area
    ├── FetchError              an image URL that is not allowed or could not be fetched
    ├── EmbedderError           the network cannot be built
    │   ├── UnknownEmbedder     no embedder of that name
    │   ├── WeightsNotFound     the weights do not exist at the given path
    │   └── WeightsMismatch     parameter names or shapes do not fit the network
    ├── HashingError            vectors, codes or sub-codes that cannot be used
    ├── EncoderError            a saved encoder that cannot be used
    │   └── EncoderMismatch     the index was written with another encoder
    ├── VocabularyError         visual words that cannot be learned, loaded or used
    │   └── VocabularyMismatch  the index was written with another vocabulary, or with none
    ├── CatalogError            a catalog that cannot be read
    │   └── ChangesNotAccepted  the run would replace or remove many images, which must be accepted
    ├── SearchError             a query or search option out of range
    │   └── FlatImage           a perceptual hash of a picture of nearly one colour
    ├── EvaluationError         a measurement that is not possible with the data given
    ├── TrainingError           a recipe or training data that cannot be used
    ├── NodeError               the local Elasticsearch node cannot be started, found or stopped
    └── StoreError              an unexpected response from Elasticsearch
        ├── StoreUnavailable    Elasticsearch does not respond or is overloaded
        ├── RequestTooLarge     a proxy or Elasticsearch refuses requests of this size
        ├── IndexNotFound       no index or alias of that name
        └── ImageNotFound       no image with that id in the index

A message states the rule and the value got. `code` is the error's name in JSON responses and rejects files; it never
changes.
"""

from __future__ import annotations


class HashsearchError(Exception):
    """Base of all errors of this package."""

    code = "hashsearch_error"


class ConfigError(HashsearchError):
    """Invalid setting or option, or a component that is not installed."""

    code = "config_error"


class ImageError(HashsearchError):
    """Image bytes that cannot be used."""

    code = "image_error"


class Unreadable(ImageError):
    """The file cannot be opened."""

    code = "unreadable"


class EmptyImage(ImageError):
    """Zero bytes."""

    code = "empty_image"


class NotAnImage(ImageError):
    """Unknown image format."""

    code = "not_an_image"


class TruncatedImage(ImageError):
    """The image data is incomplete or damaged."""

    code = "truncated_image"


class ImageTooLarge(ImageError):
    """More bytes than the limit."""

    code = "image_too_large"


class TooManyPixels(ImageError):
    """More pixels than the limit, according to the header."""

    code = "too_many_pixels"


class InvalidCrop(ImageError):
    """The box is outside the image or has no area."""

    code = "invalid_crop"


class FetchError(HashsearchError):
    """An image URL that is not allowed or could not be fetched."""

    code = "fetch_error"


class EmbedderError(HashsearchError):
    """The network cannot be built."""

    code = "embedder_error"


class UnknownEmbedder(EmbedderError):
    """No embedder of that name."""

    code = "unknown_embedder"


class WeightsNotFound(EmbedderError):
    """The weights do not exist at the given path."""

    code = "weights_not_found"


class WeightsMismatch(EmbedderError):
    """Parameter names or shapes do not fit the network; `missing` and `extra` list the names."""

    code = "weights_mismatch"

    def __init__(self, message: str, missing: tuple[str, ...] = (), extra: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.missing = missing
        self.extra = extra


class HashingError(HashsearchError):
    """Vectors, codes or sub-codes that cannot be used."""

    code = "hashing_error"


class EncoderError(HashsearchError):
    """A saved encoder that cannot be used."""

    code = "encoder_error"


class EncoderMismatch(EncoderError):
    """The index was written with another encoder; carries both fingerprints."""

    code = "encoder_mismatch"

    def __init__(self, index: str, indexed_with: str, encoder: str) -> None:
        super().__init__(
            f"index '{index}' was written with encoder {indexed_with} and can only be used with it, "
            f"but the encoder in use is {encoder}"
        )
        self.index = index
        self.indexed_with = indexed_with
        self.encoder = encoder


class VocabularyError(HashsearchError):
    """Visual words that cannot be learned, loaded or used."""

    code = "vocabulary_error"


class VocabularyMismatch(VocabularyError):
    """The index was written with another vocabulary, or with none; carries both fingerprints."""

    code = "vocabulary_mismatch"

    def __init__(self, index: str, indexed_with: str | None, vocabulary: str | None) -> None:
        used = f"the one in use is {vocabulary}" if vocabulary else "none was given"
        super().__init__(
            f"index '{index}' was written with vocabulary {indexed_with} and can only be used with it, but {used}"
            if indexed_with
            else f"index '{index}' has images without visual words: index the catalog again into a new index, "
            "with `hashsearch index CATALOG --vocabulary FILE`"
        )
        self.index = index
        self.indexed_with = indexed_with
        self.vocabulary = vocabulary


class CatalogError(HashsearchError):
    """A catalog that cannot be read."""

    code = "catalog_error"


class ChangesNotAccepted(CatalogError):
    """The run would replace or remove many images, which must be accepted."""

    code = "changes_not_accepted"


class SearchError(HashsearchError):
    """A query or search option out of range."""

    code = "search_error"


class FlatImage(SearchError):
    """A perceptual hash of a picture of nearly one colour, which would equal that of every other such picture."""

    code = "flat_image"


class EvaluationError(HashsearchError):
    """A measurement that is not possible with the data given."""

    code = "evaluation_error"


class TrainingError(HashsearchError):
    """A recipe or training data that cannot be used."""

    code = "training_error"


class NodeError(HashsearchError):
    """The local Elasticsearch node cannot be started, found or stopped."""

    code = "node_error"


class StoreError(HashsearchError):
    """An unexpected response from Elasticsearch."""

    code = "store_error"


class StoreUnavailable(StoreError):
    """Elasticsearch does not respond or is overloaded."""

    code = "store_unavailable"


class RequestTooLarge(StoreError):
    """A proxy or Elasticsearch refuses requests of this size."""

    code = "request_too_large"


class IndexNotFound(StoreError):
    """No index or alias of that name."""

    code = "index_not_found"


class ImageNotFound(StoreError):
    """No image with that id in the index."""

    code = "image_not_found"
