"""Image sources to vectors in bulk: what fitting, evaluation and `hashsearch embed` need before there is an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import FetchError, HashsearchError, ImageError
from hashsearch.hashing.vectors import Vectors
from hashsearch.images.sources import DEFAULT_READER, ImageReader
from hashsearch.images.stages import stage
from hashsearch.overlap import batched, prefetch

if TYPE_CHECKING:
    from hashsearch.embedders import Embedder

BATCH = 128  # images that pass the network at once


@dataclass(frozen=True)
class EmbeddedSources:
    """Vectors `(n, dims)` of the sources that are images, and the errors of those that are not."""

    sources: list[str]
    vectors: Vectors
    errors: dict[str, HashsearchError]


def embed_sources(
    embedder: Embedder, sources: Iterable[str], reader: ImageReader = DEFAULT_READER, workers: int = 4
) -> Iterator[EmbeddedSources]:
    """Vectors of images in batches, in order; the next ones are read and decoded while one passes the network."""

    def prepare(source: str) -> NDArray[np.uint8] | HashsearchError:
        try:
            with ExitStack() as stack:
                with stage("decoding", source):
                    image = stack.enter_context(reader.decoded(reader.read(source)))
                with stage("preparing", source):
                    return embedder.prepare(image)
        except (FetchError, ImageError) as error:
            return error

    with ThreadPoolExecutor(workers, "decode") as pool:
        batches = prefetch(
            batched(sources, BATCH), lambda batch: (batch, [pool.submit(prepare, source) for source in batch]), ahead=2
        )
        for batch, futures in batches:
            prepared = dict(zip(batch, (future.result() for future in futures), strict=True))
            errors = {source: found for source, found in prepared.items() if isinstance(found, HashsearchError)}
            images = [found for found in prepared.values() if not isinstance(found, HashsearchError)]
            vectors = embedder.embed(images) if images else np.empty((0, embedder.dims), dtype=np.float32)
            yield EmbeddedSources([source for source in prepared if source not in errors], vectors, errors)
