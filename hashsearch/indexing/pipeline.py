"""Catalog entries to documents in the index; decoding, embedding and writing overlap, and a killed run goes on.

What is known of the past lies in two places. The index itself tells which images are unchanged (by sha256) and which
only changed their text. A checkpoint tells how far the last, unfinished run of the same catalog came; it moves on only
over batches that Elasticsearch has confirmed. Documents carry the catalog's ids, so that writing one twice is harmless.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from hashsearch.catalog.reading import BadEntry, Catalog, Entry
from hashsearch.descriptors.phash import STORED, stored_hash
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.writing import BulkWriter, WriteFailure
from hashsearch.embedders.bulk import BATCH
from hashsearch.encoder import Encoder
from hashsearch.errors import EncoderError, FetchError, ImageError
from hashsearch.hashing.vectors import Vectors
from hashsearch.images.sources import DEFAULT_READER, ImageReader
from hashsearch.indexing.checkpoint import Checkpoint, Reject, Summary
from hashsearch.overlap import batched, prefetch

if TYPE_CHECKING:
    from hashsearch.descriptors.words import Vocabulary

_DECODED_AHEAD = 2  # batches that wait for the network
_MUCH = 10  # an index of which one image in so many is new is worth merging
WRITERS, WRITTEN_AHEAD = 3, 6  # batches sent at once, and sent or waiting to be


@dataclass(frozen=True)
class _Fresh:
    """An image that the index does not hold in this form, ready for the network."""

    entry: Entry
    document: dict[str, Any]
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class _Reworded:
    """An image that the index holds under other text: its stored vectors are used again."""

    entry: Entry
    document: dict[str, Any]


@dataclass(frozen=True)
class _Unchanged:
    """An image that the index holds as it is."""


_Looked = _Fresh | _Reworded | _Unchanged | Reject


@dataclass
class _Batch:
    """Entries that travel together."""

    looked: list[Future[_Looked]]
    summary: Summary = field(default_factory=Summary)
    rejects: list[Reject] = field(default_factory=list)
    reworded: set[str] = field(default_factory=set)
    written: Future[list[WriteFailure]] = field(default_factory=Future)


@dataclass
class Indexer:
    """Brings catalogs into an index; `workers` threads read and decode. With a vocabulary images have visual words."""

    encoder: Encoder
    index: ImageIndex
    writer: BulkWriter
    reader: ImageReader = DEFAULT_READER
    workers: int = 4
    vocabulary: Vocabulary | None = None

    def run(self, catalog: Catalog, checkpoint: Checkpoint, progress: Callable[[int], object]) -> Summary:
        """Index what is new, rewrite what changed, pass over what did not; then all of it is findable.

        Rejected entries go to the checkpoint's rejects file. Whatever ends the run early leaves the checkpoint to go
        on from. `progress` hears how many more entries are done.
        """
        self.index.check_encoder(self.encoder)
        self.index.check_vocabulary(self.vocabulary.fingerprint if self.vocabulary else None)
        self.index.add_fields()
        self.encoder.warm()  # loaded once, before many threads ask for it
        self.index.refresh()
        entries = islice(catalog, checkpoint.summary.entries, None)
        decoders = ThreadPoolExecutor(self.workers, "decode")
        writers = ThreadPoolExecutor(WRITERS, "write")
        try:
            taken = batched(entries, BATCH)
            looked = prefetch(taken, lambda entries: self._start_looking(entries, decoders), _DECODED_AHEAD)
            # Left to itself, BLAS takes all cores for each small product and spins on them afterwards.
            with threadpool_limits(1, "blas"):
                for batch in prefetch(looked, lambda batch: self._start_writing(batch, writers), WRITTEN_AHEAD):
                    _settle(batch)
                    checkpoint.advance(batch.summary, batch.rejects)
                    progress(batch.summary.entries)
        finally:
            for pool in (decoders, writers):
                pool.shutdown(cancel_futures=True)
        self.index.refresh()
        checkpoint.finish()
        return checkpoint.summary

    def _start_looking(self, entries: list[Entry | BadEntry], decoders: ThreadPoolExecutor) -> _Batch:
        known = decoders.submit(self.index.records, [entry.id for entry in entries if isinstance(entry, Entry)])
        return _Batch([decoders.submit(self._look, entry, known) for entry in entries])

    def _look(self, entry: Entry | BadEntry, known: Future[dict[str, dict[str, Any]]]) -> _Looked:
        """Read one image and tell what is to be done with it; runs in a decoder thread."""
        if isinstance(entry, BadEntry):
            return Reject(entry.id, None, "bad_entry", entry.reason)
        try:
            data = self.reader.read(entry.source)
            sha256 = hashlib.sha256(data).hexdigest()
            text = _text_fields(entry)
            before = known.result().get(entry.id)
            if before and before["sha256"] == sha256:
                kept = {name: before[name] for name in ("width", "height", "sha256")}
                same = all(before.get(name) == text.get(name) for name in _TEXT_FIELDS)
                return _Unchanged() if same else _Reworded(entry, {**text, **kept})
            image = self.reader.decode(data)
        except (FetchError, ImageError) as error:
            return Reject(entry.id, entry.source, error.code, str(error))
        seen = {"width": image.shape[1], "height": image.shape[0], "sha256": sha256}
        seen |= stored_hash(STORED.hash([image])[0])
        if self.vocabulary:
            seen["words"] = self.vocabulary.terms(self.vocabulary.extractor.extract(image))
        return _Fresh(entry, {**text, **seen}, self.encoder.embedder.prepare(image))

    def _start_writing(self, batch: _Batch, writers: ThreadPoolExecutor) -> _Batch:
        looked = [future.result() for future in batch.looked]
        fresh, embeddings, blank = self._embed([found for found in looked if isinstance(found, _Fresh)])
        reworded = [found for found in looked if isinstance(found, _Reworded)]
        batch.rejects = [*(found for found in looked if isinstance(found, Reject)), *blank]
        batch.reworded = {found.entry.id for found in reworded}
        unchanged = len(looked) - len(fresh) - len(reworded) - len(batch.rejects)
        batch.summary = Summary(len(fresh), len(reworded), unchanged, len(batch.rejects))
        batch.written = writers.submit(self.writer.write, list(self._documents(fresh, embeddings, reworded)))
        return batch

    def _embed(self, fresh: list[_Fresh]) -> tuple[list[_Fresh], Vectors, list[Reject]]:
        """The images of which the network makes a usable vector, these vectors, and the other images as rejects."""
        if not fresh:
            return [], np.empty((0, self.encoder.dims), dtype=np.float32), []
        embeddings = self.encoder.embed([found.image for found in fresh])
        usable = self.encoder.encodable(embeddings)
        reason = (
            "the network must give a vector with a direction that the encoder's re-rank vectors keep, but gave zero, "
            "NaN or one at right angles to them for this image"
        )
        blank = [found.entry for found, fine in zip(fresh, usable) if not fine]
        rejects = [Reject(entry.id, entry.source, EncoderError.code, reason) for entry in blank]
        return [found for found, fine in zip(fresh, usable) if fine], embeddings[usable], rejects

    def _documents(
        self, fresh: Sequence[_Fresh], embeddings: Vectors, reworded: Sequence[_Reworded]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        encoded = self.encoder.encode(embeddings)
        stored = self.index.vectors([found.entry.id for found in reworded])
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        for row, found in enumerate(fresh):
            yield found.entry.id, {**found.document, **encoded.fields(row), "indexed_at": now}
        for reword in reworded:
            yield reword.entry.id, {**reword.document, **stored[reword.entry.id].fields(), "indexed_at": now}


def index_catalog(
    catalog: Catalog, indexer: Indexer, state: Path, rejects: Path | None = None, *, graph: bool = False
) -> tuple[Summary, Path]:
    """Run the indexer from where the last, unfinished run of the same catalog ended, with a progress bar.

    Returns what became of the entries, and the path of the file that lists the rejected ones. `state` is a folder for
    the checkpoints of all indices. Where much is new, the index is merged afterwards; with `graph` it has one then.
    """
    index = indexer.index
    if graph:
        index.check_quantizable()  # before the work, not after it
    identity = {"catalog": catalog.fingerprint, "index": list(index.uuids), "encoder": indexer.encoder.fingerprint}
    with Checkpoint.hold(state / index.alias, identity, rejects) as checkpoint:
        done = checkpoint.summary.entries
        with tqdm(total=catalog.total, initial=done, unit=" images", desc=index.alias) as bar:
            summary = indexer.run(catalog, checkpoint, bar.update)
    if graph and not index.graph:
        index.with_graph()
    elif summary.indexed * _MUCH >= index.count() > 0:
        index.merge()
    return summary, checkpoint.rejects_path


_TEXT_FIELDS = ("uri", "title", "category", "attributes")


def _text_fields(entry: Entry) -> dict[str, Any]:
    values = (entry.source, entry.title, entry.category, dict(entry.attributes))
    return {name: value for name, value in zip(_TEXT_FIELDS, values, strict=True) if value}


def _settle(batch: _Batch) -> None:
    """Wait until Elasticsearch has taken the batch; documents it refused become rejects."""
    refused = batch.written.result()
    batch.rejects += [Reject(failure.id, None, "refused", failure.reason) for failure in refused]
    updated = sum(failure.id in batch.reworded for failure in refused)
    batch.summary += Summary(indexed=updated - len(refused), updated=-updated, rejected=len(refused))
