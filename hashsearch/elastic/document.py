"""What a document is: every field that the index stores of an image, how it is made and how it is read back.

A document has four parts:

    metadata        what the catalog says; it may change while the image stays the same
    image facts     what the image file says
    StoredVectors   what searches compare; the index holds it outside of `_source`
    indexed_at      when it was last written

The field types are in `index_templates/hashsearch-mappings.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashsearch.catalog.reading import Entry
from hashsearch.descriptors.phash import BLOCKS
from hashsearch.encoder import Encoded
from hashsearch.hashing.bits import Codes
from hashsearch.hashing.rerank_vectors import as_json

Fields = dict[str, Any]


class CodeFields(NamedTuple):
    """The field that holds one kind of binary code, and the field of the terms made from it."""

    code: str
    terms: str


CODE, PHASH = CodeFields("code", "sub_codes"), CodeFields("phash", "phash_blocks")
EMBEDDING, WORDS = "embedding", "words"
URI, TITLE, CATEGORY, ATTRIBUTES = "uri", "title", "category", "attributes"
WIDTH, HEIGHT, SHA256 = "width", "height", "sha256"
INDEXED_AT = "indexed_at"

METADATA = (URI, TITLE, CATEGORY, ATTRIBUTES)
IMAGE_FACTS = (WIDTH, HEIGHT, SHA256)
SEARCHED = (*CODE, EMBEDDING, *PHASH, WORDS)
FIELDS = (*METADATA, *IMAGE_FACTS, *SEARCHED, INDEXED_AT)

DESCRIBED = (*METADATA, WIDTH, HEIGHT)  # of every hit
SHOWN = (*DESCRIBED, INDEXED_AT)

# Parts of a search request: what it returns of each hit.
VECTORS: Fields = {"docvalue_fields": [EMBEDDING, *CODE, PHASH.code], "stored_fields": [WORDS]}
# Indices that got these fields after they were created keep them in `_source`.
RECORD: Fields = {"_source": {"excludes": [PHASH.terms, WORDS]}}
WHOLE: Fields = {"_source": True, **VECTORS}


def attribute(name: str) -> str:
    """The field to filter or count by for one attribute: `colour` -> `attributes.colour`."""
    return f"{ATTRIBUTES}.{name}"


@dataclass(frozen=True)
class StoredVectors:
    """What searches compare of one image.

    Its re-rank vector `(rerank_dims,) float32 | int8`, code `(bits // 8,) uint8`, sub-codes, perceptual hash in hex,
    and visual words separated by spaces.
    """

    rerank_vector: NDArray[Any]
    code: Codes
    sub_codes: tuple[str, ...]
    phash: str | None = None
    words: str | None = None

    @classmethod
    def from_encoded(cls, encoded: Encoded, row: int) -> StoredVectors:
        """Those of one row of encoded images; hash and words are not the encoder's."""
        return cls(encoded.rerank_vectors[row], encoded.codes[row], tuple(encoded.sub_codes[row].tolist()))

    @classmethod
    def from_hit(cls, hit: Mapping[str, Any], dtype: str) -> StoredVectors:
        """Those of a hit of a search with VECTORS or WHOLE; `dtype` is that of the re-rank vector."""
        fields = hit["fields"]
        phash = code_of(hit, PHASH.code).tobytes().hex() if PHASH.code in fields else None
        words = fields.get(WORDS, (None,))[0]
        return cls(rerank_vectors_of([hit], dtype)[0], code_of(hit), tuple(fields[CODE.terms]), phash, words)

    def fields(self) -> Fields:
        """The document's fields that hold them."""
        vectors = {
            EMBEDDING: as_json(self.rerank_vector),
            CODE.code: self.code.tobytes().hex(),
            CODE.terms: list(self.sub_codes),
        }
        hashes = hash_fields(np.frombuffer(bytes.fromhex(self.phash), np.uint8)) if self.phash else {}
        return {**vectors, **hashes, **word_fields(self.words)}


def hash_fields(code: Codes) -> Fields:
    """The document's fields for a perceptual hash `(8,)`: the hash in hex, and its four blocks of 16 bits as terms."""
    terms = BLOCKS.terms(np.empty((1, 0), np.float32), code[np.newaxis])
    return {PHASH.code: code.tobytes().hex(), PHASH.terms: terms[0].tolist()}


def word_fields(words: str | None) -> Fields:
    """The document's field for visual words separated by spaces; none for an index without a vocabulary."""
    return {} if words is None else {WORDS: words}


def metadata_fields(entry: Entry) -> Fields:
    """The document's fields for what a catalog entry says of its image; empty values are left out."""
    values = (entry.source, entry.title, entry.category, dict(entry.attributes))
    return {name: value for name, value in zip(METADATA, values, strict=True) if value}


def same_metadata(record: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    """Whether a stored record and these fields have the same metadata."""
    return all(record.get(name) == fields.get(name) for name in METADATA)


def image_fields(image: NDArray[np.uint8], sha256: str) -> Fields:
    """The document's fields for a decoded image `(height, width, 3)` and the digest of its file."""
    return {WIDTH: image.shape[1], HEIGHT: image.shape[0], SHA256: sha256}


def has_image_fields(record: Mapping[str, Any]) -> bool:
    """Whether a stored record has all facts of its image."""
    return record.keys() >= set(IMAGE_FACTS)


def stored_image_fields(record: Mapping[str, Any]) -> Fields:
    """The same fields, from a stored record."""
    return {name: record[name] for name in IMAGE_FACTS}


def whole_document(at: datetime, *parts: Fields) -> Fields:
    """The document of all these fields, written at this time."""
    written = {INDEXED_AT: at.astimezone(timezone.utc).isoformat(timespec="seconds")}
    return {name: value for part in (*parts, written) for name, value in part.items()}


def stored_document(hit: Mapping[str, Any], dtype: str) -> Fields:
    """The document as it was written, from a hit of a search with WHOLE."""
    return {**hit["_source"], **StoredVectors.from_hit(hit, dtype).fields()}


def described(hit: Mapping[str, Any]) -> Fields:
    """What a hit of a search with SHOWN says of its image: id, metadata, width and height; None where unknown."""
    source = hit["_source"]
    return {"id": hit["_id"], **{name: source.get(name) for name in DESCRIBED}, ATTRIBUTES: source.get(ATTRIBUTES, {})}


def has_vectors(hit: Mapping[str, Any]) -> bool:
    """Whether a hit of a search with VECTORS has all vectors that every indexed image has."""
    return bool({EMBEDDING, *CODE} <= hit.get("fields", {}).keys())


def code_of(hit: Mapping[str, Any], field: str = CODE.code) -> Codes:
    """The code `(bits // 8,) uint8` of a hit."""
    return np.array(hit["fields"][field][0], dtype=np.int8).view(np.uint8)  # Elasticsearch returns signed bytes


def rerank_vectors_of(hits: Sequence[Mapping[str, Any]], dtype: str) -> NDArray[Any]:
    """The re-rank vectors `(n, rerank_dims)` of hits."""
    return np.array([hit["fields"][EMBEDDING][0] for hit in hits], dtype)
