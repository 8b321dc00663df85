"""`hashsearch fit-vocabulary`: learn visual words from a sample of catalogs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.commands import Command
from hashsearch.cli.options import OUTPUT_FILE, catalogs_argument, keypoint_options, with_settings
from hashsearch.cli.progress import Progress
from hashsearch.cli.running import notify

if TYPE_CHECKING:
    from hashsearch.config import Settings


@click.command(cls=Command)
@catalogs_argument
@click.option("--out", required=True, type=OUTPUT_FILE, help="New .npz file to write.")
@keypoint_options
@click.option("--words", default=4096, show_default=True, help="Number of words to learn.")
@click.option("--sample", default=2000, show_default=True, type=click.IntRange(1), help="Images to learn from.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sample and of the learning.")
@with_settings("allow_private")
def main(
    settings: Settings,
    catalogs: tuple[Path, ...],
    out: Path,
    features: str,
    keypoints: int,
    side: int,
    words: int,
    sample: int,
    seed: int,
) -> None:
    """Learn visual words from images of the CATALOGs.

    They are for `hashsearch index --vocabulary`. A CATALOG is what `hashsearch index` takes. An index made with a
    vocabulary works with no other.
    """
    from hashsearch.catalog.reading import Catalog
    from hashsearch.catalog.sampling import sample_sources
    from hashsearch.descriptors.keypoints import LocalExtractor, LocalFeatures
    from hashsearch.descriptors.words import Vocabulary
    from hashsearch.errors import VocabularyError
    from hashsearch.search.by_keypoints import features_of_sources

    vocabulary = Vocabulary(LocalExtractor(features, keypoints, side), words, seed)
    if out.exists():  # before the work, not after it
        raise VocabularyError(f"a vocabulary is never overwritten, and {out} exists")
    listed = [Catalog(path) for path in catalogs]
    for catalog in listed:
        catalog.check()
    sources = sample_sources(listed, sample, seed)
    learned = []
    with Progress("extract", "images", len(sources)) as progress:
        features_of = features_of_sources(vocabulary.extractor, sources, settings.image_reader)
        for source, extracted in zip(sources, features_of):
            if isinstance(extracted, LocalFeatures):
                learned.append(extracted)
            else:
                notify(f"left out {source}: {extracted}")
            progress.update()
    notify(f"learning {words} words from {sum(map(len, learned))} keypoints")
    vocabulary.fit(learned).save(out)
    click.echo(f"{out}: vocabulary {vocabulary.fingerprint}, {words} words of {features}")
