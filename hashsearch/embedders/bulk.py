"""Image sources to vectors in bulk, for fitting, evaluation and `hashsearch embed`."""

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

BATCH = 128


@dataclass(frozen=True)
class EmbeddedSources:
    """Vectors `(n, dims)` of the sources that could be read, and the errors of the others by source."""

    sources: list[str]
    vectors: Vectors
    errors: dict[str, HashsearchError]


def embed_sources(
    embedder: Embedder, sources: Iterable[str], reader: ImageReader = DEFAULT_READER, workers: int = 4
) -> Iterator[EmbeddedSources]:
    """Vectors of images in batches, in order; the next batches are read and decoded while the network runs."""

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
            errors = {source: image for source, image in prepared.items() if isinstance(image, HashsearchError)}
            images = [image for image in prepared.values() if not isinstance(image, HashsearchError)]
            vectors = embedder.embed(images) if images else np.empty((0, embedder.dims), dtype=np.float32)
            yield EmbeddedSources([source for source in prepared if source not in errors], vectors, errors)
