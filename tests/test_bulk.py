"""Sources to vectors in bulk: every source gets a vector or an error, and the vectors are the network's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashsearch import embedders
from hashsearch.embedders.bulk import BATCH, embed_sources
from hashsearch.images.decoding import decode


def test_an_unexpected_error_concerns_its_image_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = embedders.load("bit-tiny")
    network.prepare = embedders.Preprocessing(160, filter="no such filter").prepare
    Image.new("RGB", (9, 7)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    sources = [str(tmp_path / name) for name in ("a.png", "b.png")]
    (batch,) = embed_sources(network, sources)
    assert (batch.sources, len(batch.vectors)) == ([], 0)
    assert {source: error.code for source, error in batch.errors.items()} == {
        sources[0]: "processing_failed",
        sources[1]: "not_an_image",
    }
    assert [record.exc_info is not None for record in caplog.records] == [True]


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
