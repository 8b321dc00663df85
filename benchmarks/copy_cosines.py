"""Cosines of copies to their originals, and of photos to others: `python -m benchmarks.copy_cosines FOLDER`.

What `hashsearch duplicates --cosine` should be for an encoder: below most copies, above most pairs of two photos.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import numpy as np

from hashsearch.cli.options import EXISTING_FOLDER, with_settings
from hashsearch.cli.running import run_reporting_errors
from hashsearch.evaluation.data.distortions import Distortion

if TYPE_CHECKING:
    from pathlib import Path

    from hashsearch.config import Settings

CHANGES = (
    ("jpeg", 75),
    ("jpeg", 40),
    ("jpeg", 20),
    ("resize", 50),
    ("brightness", 25),
    ("crop", 5),
    ("crop", 20),
    ("rotate", 2),
    ("mirror", 1),
)
THRESHOLDS = (0.99, 0.97, 0.95, 0.93, 0.9, 0.85)


@click.command()
@click.argument("folder", type=EXISTING_FOLDER)
@click.option("--photos", default=300, show_default=True, help="Photos to change.")
@with_settings("encoder")
def main(settings: Settings, folder: Path, photos: int) -> None:
    """Print a line for each kind of change to photos of FOLDER, then one for pairs of two photos."""
    from hashsearch.catalog.reading import Catalog
    from hashsearch.catalog.sampling import sample_sources
    from hashsearch.services import load_encoder

    encoder, reader = load_encoder(settings), settings.image_reader
    originals = [reader.pixels(source) for source in sample_sources([Catalog(folder)], photos, seed=0)]
    vectors = encoder.encode(encoder.embed(originals)).rerank_vectors.astype(np.float32)
    click.echo(f"{'':16} median  {'  '.join(f'>= {threshold}' for threshold in THRESHOLDS)}")
    for kind, strength in CHANGES:
        change = Distortion(kind, strength)
        changed = encoder.encode(encoder.embed([change.apply(image) for image in originals])).rerank_vectors
        _line(str(change), np.einsum("ij,ij->i", vectors, changed.astype(np.float32)))
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    _line("nearest other", cosines.max(axis=1))
    _line("any other", cosines[~np.eye(len(cosines), dtype=bool)])


def _line(name: str, cosines: np.ndarray) -> None:
    shares = "  ".join(f"{(cosines >= threshold).mean():7.1%}" for threshold in THRESHOLDS)
    click.echo(f"{name:16} {np.median(cosines):6.3f} {shares}")


if __name__ == "__main__":
    run_reporting_errors(main)
