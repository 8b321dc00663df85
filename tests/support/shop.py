"""What the tests of the API and of the page share: a small shop's pictures, indexed with the bundled network."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from elasticsearch import Elasticsearch
from PIL import Image, ImageDraw

from hashsearch import embedders
from hashsearch.elastic.document import StoredVectors
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.writing import BulkWriter
from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.sub_codes import make_sub_codes
from hashsearch.images.decoding import decode
from hashsearch.search.searcher import Searcher

COLOURS = ("red", "green", "blue", "gold", "black", "purple")
ADDRESS = "http://pictures.invalid/cup.jpg"


def draw(colour: str, shape: str) -> bytes:
    """A PNG of one product on a pale ground: a mug is an ellipse with a ring, a flyer a tilted sheet."""
    picture = Image.new("RGB", (96, 72), "ivory")
    pen = ImageDraw.Draw(picture)
    if shape == "mugs":
        pen.ellipse((50, 24, 80, 54), outline=colour, width=6)
        pen.ellipse((16, 12, 66, 64), fill=colour)
    else:
        pen.polygon([(20, 10), (78, 4), (84, 60), (26, 68)], fill=colour)
        pen.line([(32, 24), (70, 20)], fill="ivory", width=4)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def fit_encoder(vectors: np.ndarray) -> Encoder:
    """An encoder of the smallest network, fitted on vectors, whose cosines are those of the vectors."""
    spec = EmbedderSpec.of(embedders.load("bit-tiny"))
    return Encoder.fit(spec, vectors, make_binarizer("rotation", bits=64), make_sub_codes("blocks"), centred=False)


@dataclass(frozen=True)
class Shop:
    """A folder that may be shown with `mugs/<colour>.png` and `flyers/<colour>.png`, and one beside it that may not."""

    folder: Path
    secret: Path
    searcher: Searcher
    vectors: Mapping[str, np.ndarray] = field(repr=False)

    def picture(self, image_id: str) -> bytes:
        """The file of one picture."""
        return (self.folder / image_id).read_bytes()


@contextmanager
def open_shop(client: Elasticsearch, parent: Path) -> Iterator[Shop]:
    """Draw the shop's pictures and index them, with some records that point where no picture may be shown from."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield _index(client, name, *_draw_all(parent))
    client.indices.delete(index=list(client.indices.get(index=f"hashsearch-{name}-*")))


def _draw_all(parent: Path) -> tuple[Path, Path, dict[str, str]]:
    folder, secret = parent / "shown", parent / "secret"
    for kind in ("mugs", "flyers"):
        (folder / kind).mkdir(parents=True)
        for colour in COLOURS:
            (folder / kind / f"{colour}.png").write_bytes(draw(colour, kind))
    secret.mkdir()
    (secret / "plan.png").write_bytes(draw("orange", "flyers"))
    (folder / "link.png").symlink_to(secret / "plan.png")
    (folder / "note.png").write_text("no picture")
    uris = {file.relative_to(folder).as_posix(): str(file) for file in sorted(folder.glob("*/*.png"))}
    uris |= {
        "outside": str(secret / "plan.png"),
        "climbing": f"{folder}/../secret/plan.png",
        "linked": str(folder / "link.png"),
        "gone": str(folder / "gone.png"),
        "folder": str(folder),
        "relative": "shown/mugs/red.png",
        "damaged": str(folder / "note.png"),
        "remote": ADDRESS,
        "a//b/%2e%2e/c?d#é": str(folder / "mugs/red.png"),
        "/leading": str(folder / "mugs/red.png"),
        "<b>bold</b>": str(folder / "mugs/red.png"),
        "a/../b": str(folder / "mugs/red.png"),
        "..": str(folder / "mugs/red.png"),
    }
    return folder, secret, uris


def _index(client: Elasticsearch, name: str, folder: Path, secret: Path, uris: Mapping[str, str]) -> Shop:
    files = {image_id: folder / image_id for image_id in uris}
    data = {image_id: file.read_bytes() if file.is_file() else draw("grey", "mugs") for image_id, file in files.items()}
    embedder = embedders.load("bit-tiny")
    vectors = embedder.embed([decode(picture) for picture in data.values()])
    encoder = fit_encoder(vectors)
    encoded = encoder.encode(vectors)
    index = ImageIndex.create(client, name, encoder)
    documents = [
        (
            image_id,
            {
                **StoredVectors.from_encoded(encoded, row).fields(),
                **_text(image_id),
                "uri": uris[image_id],
                "sha256": _sha256(picture),
            },
        )
        for row, (image_id, picture) in enumerate(data.items())
    ]
    assert BulkWriter(client, index.alias).write(documents) == []
    index.refresh()
    return Shop(folder, secret, Searcher(encoder, index), dict(zip(data, vectors)))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _text(image_id: str) -> dict[str, Any]:
    category, _, file = image_id.partition("/")
    if not file.endswith(".png"):
        return {"title": f"oddity {image_id}", "category": "oddities", "phash": "00" * 8}
    colour = file.removesuffix(".png")
    attributes = {"colour": colour, "price": 5 if category == "mugs" else 1.5, "new": category == "mugs"}
    return {"title": f"{colour} {category}", "category": category, "attributes": attributes, "phash": "00" * 8}
