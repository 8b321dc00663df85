"""Sources to vectors in bulk: every source gets a vector or an error, and the vectors are the network's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashsearch import embedders
from hashsearch.embedders.bulk import BATCH, embed_sources
from hashsearch.errors import Unreadable
from hashsearch.images.decoding import Limits, decode
from hashsearch.images.sources import read_source


def test_every_source_gets_a_vector_or_an_error(tmp_path: Path) -> None:
    network = embedders.load("bit-tiny")
    sources = []
    for number in range(BATCH + 3):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.full((9, 7, 3), number, dtype=np.uint8)).save(path)
        sources.append(str(path))
    (tmp_path / "5.png").write_text("no image")
    (tmp_path / "130.png").unlink()
    first, second = embed_sources(network, sources)
    assert [error.code for error in first.errors.values()] == ["not_an_image"]
    assert {Path(source).name: error.code for source, error in second.errors.items()} == {"130.png": "unreadable"}
    assert first.sources + second.sources == [s for s in sources if s not in first.errors | second.errors]
    for batch in (first, second):
        images = [decode(Path(source).read_bytes()) for source in batch.sources]
        assert np.allclose(batch.vectors, network.embed(images), atol=1e-5)


def test_a_file_is_read_no_further_than_the_limit_needs(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 1000)
    assert len(read_source(str(tmp_path / "big"), Limits(max_bytes=10))) == 11


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="nothing-here"):
        read_source(str(tmp_path / "nothing-here"))
