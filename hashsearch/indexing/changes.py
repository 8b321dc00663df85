"""What must be done with one catalog entry: index its image, update its metadata, nothing, or reject it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.catalog.reading import BadEntry, Entry
from hashsearch.descriptors.phash import STORED, is_flat
from hashsearch.elastic import document
from hashsearch.encoder import Encoder
from hashsearch.errors import FetchError, ImageError
from hashsearch.images.sources import DEFAULT_READER, ImageReader

if TYPE_CHECKING:
    from hashsearch.descriptors.words import Vocabulary

Records = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class NewImage:
    """An image that is not in the index, or whose file changed: all fields but the embedder's, and its input.

    `replaces` is whether the index has the picture of another source under its id.
    """

    entry: Entry
    fields: document.Fields
    pixels: NDArray[np.uint8]
    replaces: bool = False


@dataclass(frozen=True)
class UpdatedMetadata:
    """An indexed image with new metadata: all fields but the stored vectors, which are kept."""

    entry: Entry
    fields: document.Fields


@dataclass(frozen=True)
class Unchanged:
    """An image that is in the index as it is."""


@dataclass(frozen=True)
class Reject:
    """An entry that cannot be indexed: `error` is the error's code, `reason` the rule that it breaks."""

    id: str | None
    source: str | None
    error: str
    reason: str


Change = NewImage | UpdatedMetadata | Unchanged | Reject


@dataclass(frozen=True)
class ChangeFinder:
    """Reads images and compares them with what the index stores of them.

    With a vocabulary, new images get visual words. Safe to share between threads.
    """

    encoder: Encoder
    reader: ImageReader = DEFAULT_READER
    vocabulary: Vocabulary | None = None

    def find(self, entry: Entry | BadEntry, records: Callable[[], Records]) -> Change:
        """What must be done with an entry; `records` returns the stored records of a batch of images, by id."""
        if isinstance(entry, BadEntry):
            return Reject(entry.id, None, "bad_entry", entry.reason)
        try:
            data = self.reader.read(entry.source)
            sha256 = hashlib.sha256(data).hexdigest()
            record = records().get(entry.id)
            if record and document.has_image_fields(record) and record[document.SHA256] == sha256:
                return _compare(entry, record)
            return self._new_image(entry, self.reader.decode(data), sha256, is_other_source(entry, record))
        except (FetchError, ImageError) as error:
            return Reject(entry.id, entry.source, error.code, str(error))

    def _new_image(self, entry: Entry, image: NDArray[np.uint8], sha256: str, replaces: bool) -> NewImage:
        words = self.vocabulary.terms(self.vocabulary.extractor.extract(image)) if self.vocabulary else None
        hashes = {} if is_flat(image) else document.hash_fields(STORED.hash([image])[0])
        fields = {
            **document.metadata_fields(entry),
            **document.image_fields(image, sha256),
            **hashes,
            **document.word_fields(words),
        }
        return NewImage(entry, fields, self.encoder.embedder.prepare(image), replaces)


def is_other_source(entry: Entry, record: Mapping[str, Any] | None) -> bool:
    """Whether a stored record was made from another path or address than an entry of the same id."""
    return record is not None and record.get(document.URI) not in (None, entry.source)


def _compare(entry: Entry, record: Mapping[str, Any]) -> UpdatedMetadata | Unchanged:
    """What must be done with an entry whose image file did not change."""
    metadata = document.metadata_fields(entry)
    if document.same_metadata(record, metadata):
        return Unchanged()
    return UpdatedMetadata(entry, {**metadata, **document.stored_image_fields(record)})
