"""Catalog entries to documents in the index; reading, embedding and writing overlap, and a killed run can resume.

The index shows which images are unchanged (by sha256) and which only have new metadata. A checkpoint shows how far the
last unfinished run of the same catalog came; it advances only past batches that Elasticsearch confirmed. Documents have
the catalog's ids, so writing one twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from hashsearch.catalog.reading import BadEntry, Catalog, Entry
from hashsearch.elastic.document import Fields, StoredVectors, whole_document
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.maintenance import add_fields
from hashsearch.elastic.writing import BulkWriter, WriteFailure
from hashsearch.embedders.bulk import BATCH
from hashsearch.encoder import Encoder
from hashsearch.errors import EncoderError
from hashsearch.hashing.vectors import Vectors
from hashsearch.images.sources import DEFAULT_READER, ImageReader
from hashsearch.indexing.changes import Change, ChangeFinder, NewImage, Reject, Unchanged, UpdatedMetadata
from hashsearch.indexing.checkpoint import Checkpoint, IndexingSummary
from hashsearch.overlap import batched, prefetch
from hashsearch.threads import one_core

if TYPE_CHECKING:
    from hashsearch.descriptors.words import Vocabulary

WRITERS, WRITTEN_AHEAD = 3, 6  # concurrent bulk requests, and batches being written or waiting for it
_READ_AHEAD = 2  # batches that wait for the embedder
_UNUSABLE = "unusable embedding: zero, NaN, or outside the subspace that the encoder's re-rank vectors keep"


@dataclass
class _Batch:
    """Entries that are embedded and written together."""

    changes: list[Future[Change]]
    summary: IndexingSummary = field(default_factory=IndexingSummary)
    rejects: list[Reject] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    updated_ids: set[str] = field(default_factory=set)
    replaced_ids: set[str] = field(default_factory=set)
    written: Future[list[WriteFailure]] = field(default_factory=Future)


@dataclass
class Indexer:
    """Brings catalogs into an index.

    Attributes
    ----------
    encoder : Encoder
        The encoder that the index is pinned to.
    index : ImageIndex
        The index.
    writer : BulkWriter
        The writer to the index's alias.
    reader : ImageReader
        Reads the images, within its limits.
    workers : int
        Threads that read images.
    vocabulary : Vocabulary, optional
        With it, images get visual words; it must be the index's.
    """

    encoder: Encoder
    index: ImageIndex
    writer: BulkWriter
    reader: ImageReader = DEFAULT_READER
    workers: int = 4
    vocabulary: Vocabulary | None = None

    def run(self, catalog: Catalog, checkpoint: Checkpoint, progress: Callable[[int], object]) -> IndexingSummary:
        """Index new images, update changed metadata and skip unchanged images; then all of it is searchable.

        A run that ends early can resume from its checkpoint.

        Parameters
        ----------
        catalog : Catalog
            The entries.
        checkpoint : Checkpoint
            Where the run starts, and where rejected entries are listed.
        progress : callable
            Called with the number of entries of each finished batch.

        Returns
        -------
        IndexingSummary
            What happened to the entries, including those before the checkpoint.

        Raises
        ------
        EncoderMismatch, VocabularyMismatch
            The index was written with another encoder or vocabulary.
        StoreError
            Elasticsearch failed; StoreUnavailable if it was unreachable or overloaded for too long.
        """
        index = self.patient_index
        index.check_encoder(self.encoder)
        index.check_vocabulary(self.vocabulary.fingerprint if self.vocabulary else None)
        add_fields(index)
        self.encoder.warm()  # load the embedder once, before several threads need it
        index.refresh()
        entries = islice(catalog, checkpoint.summary.entries, None)
        with one_core(), closing(self._batches(entries)) as batches:
            for batch in batches:
                _finish(batch)
                checkpoint.advance(batch.summary, batch.rejects, batch.ids)
                progress(batch.summary.entries)
        index.refresh()
        checkpoint.finish()
        return checkpoint.summary

    @property
    def patient_index(self) -> ImageIndex:
        """The index, whose reads are sent again as often as the writer's requests."""
        return self.index.patient(self.writer.policy)

    def _batches(self, entries: Iterator[Entry | BadEntry]) -> Generator[_Batch, None, None]:
        """Batches in order, each being written, while the next ones are already read and embedded."""
        readers = ThreadPoolExecutor(self.workers, "read")
        writers = ThreadPoolExecutor(WRITERS, "write")
        try:
            reading = prefetch(batched(entries, BATCH), lambda batch: self._start_reading(batch, readers), _READ_AHEAD)
            yield from prefetch(reading, lambda batch: self._start_writing(batch, writers), WRITTEN_AHEAD)
        finally:
            for pool in (readers, writers):
                pool.shutdown(cancel_futures=True)

    def _start_reading(self, entries: list[Entry | BadEntry], readers: ThreadPoolExecutor) -> _Batch:
        ids = [entry.id for entry in entries if isinstance(entry, Entry)]
        records = readers.submit(self.patient_index.records, ids)
        changes = [readers.submit(self._finder.find, entry, records.result) for entry in entries]
        return _Batch(changes, ids=[entry.id for entry in entries if entry.id is not None])

    @property
    def _finder(self) -> ChangeFinder:
        return ChangeFinder(self.encoder, self.reader, self.vocabulary)

    def _start_writing(self, batch: _Batch, writers: ThreadPoolExecutor) -> _Batch:
        changes, stored = self._with_vectors([future.result() for future in batch.changes])
        new, embeddings, unusable = self._embed([change for change in changes if isinstance(change, NewImage)])
        updated = [change for change in changes if isinstance(change, UpdatedMetadata)]
        batch.rejects = [*(change for change in changes if isinstance(change, Reject)), *unusable]
        batch.updated_ids = {change.entry.id for change in updated}
        batch.replaced_ids = {image.entry.id for image in new if image.replaces}
        batch.summary = IndexingSummary(
            indexed=len(new) - len(batch.replaced_ids),
            replaced=len(batch.replaced_ids),
            updated=len(updated),
            unchanged=sum(isinstance(change, Unchanged) for change in changes),
            rejected=len(batch.rejects),
        )
        batch.written = writers.submit(self.writer.write, list(self._documents(new, embeddings, updated, stored)))
        return batch

    def _with_vectors(self, changes: list[Change]) -> tuple[list[Change], dict[str, StoredVectors]]:
        """The changes, and the vectors to keep; an image that was deleted meanwhile, or has none, is new."""
        updated = [change.entry.id for change in changes if isinstance(change, UpdatedMetadata)]
        stored = self.patient_index.vectors(updated)
        return [
            self._finder.find(change.entry, dict)
            if isinstance(change, UpdatedMetadata) and change.entry.id not in stored
            else change
            for change in changes
        ], stored

    def _embed(self, images: list[NewImage]) -> tuple[list[NewImage], Vectors, list[Reject]]:
        """The images with a usable embedding, these embeddings `(n, dims)`, and the other images as rejects."""
        if not images:
            return [], np.empty((0, self.encoder.dims), dtype=np.float32), []
        embeddings = self.encoder.embed([image.pixels for image in images])
        usable = self.encoder.encodable(embeddings)
        unusable = [image.entry for image, ok in zip(images, usable) if not ok]
        rejects = [Reject(entry.id, entry.source, EncoderError.code, _UNUSABLE) for entry in unusable]
        return [image for image, ok in zip(images, usable) if ok], embeddings[usable], rejects

    def _documents(
        self,
        new: Sequence[NewImage],
        embeddings: Vectors,
        updated: Sequence[UpdatedMetadata],
        stored: Mapping[str, StoredVectors],
    ) -> Iterator[tuple[str, Fields]]:
        encoded = self.encoder.encode(embeddings)
        now = datetime.now(timezone.utc)
        for row, image in enumerate(new):
            vectors = StoredVectors.from_encoded(encoded, row)
            yield image.entry.id, whole_document(now, image.fields, vectors.fields())
        for change in updated:
            yield change.entry.id, whole_document(now, change.fields, stored[change.entry.id].fields())


def _finish(batch: _Batch) -> None:
    """Wait until Elasticsearch has confirmed the batch; refused documents become rejects."""
    refused = batch.written.result()
    batch.rejects += [Reject(failure.id, None, "refused", failure.reason) for failure in refused]
    updated = sum(failure.id in batch.updated_ids for failure in refused)
    replaced = sum(failure.id in batch.replaced_ids for failure in refused)
    indexed = len(refused) - updated - replaced
    batch.summary += IndexingSummary(-indexed, -updated, rejected=len(refused), replaced=-replaced)
