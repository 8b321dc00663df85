"""Learn visual words from a sample of catalogs: `python -m jobs.fit_vocabulary CATALOG... --out FILE`."""

from __future__ import annotations

from pathlib import Path

import click

from hashsearch.cli.options import catalogs_argument, notify


@click.command()
@catalogs_argument
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="An .npz file to write.")
@click.option("--features", default="sift", show_default=True, help="What is seen: sift, orb or akaze.")
@click.option("--keypoints", default=256, show_default=True, help="Of an image at most, the strongest.")
@click.option("--side", default=320, show_default=True, help="Pixels of the longer side, to which images are reduced.")
@click.option("--words", default=4096, show_default=True, help="How many to learn.")
@click.option("--sample", default=2000, show_default=True, type=click.IntRange(1), help="Images to learn from.")
@click.option("--seed", default=0, show_default=True, help="Of the sample and of the learning.")
def main(
    catalogs: tuple[Path, ...], out: Path, features: str, keypoints: int, side: int, words: int, sample: int, seed: int
) -> None:
    """Learn visual words from images of the CATALOGs, for `jobs.index_catalog --vocabulary`.

    A CATALOG is what `jobs.index_catalog` takes. The index made with the vocabulary can be used with no other.
    """
    from tqdm import tqdm

    from hashsearch.catalog.reading import Catalog
    from hashsearch.catalog.sampling import sample_sources
    from hashsearch.descriptors.keypoints import LocalExtractor, LocalFeatures
    from hashsearch.descriptors.words import Vocabulary
    from hashsearch.errors import VocabularyError
    from hashsearch.search.by_keypoints import features_of

    vocabulary = Vocabulary(LocalExtractor(features, keypoints, side), words, seed)
    if out.exists():  # before the work, not after it
        raise VocabularyError(f"a vocabulary is never overwritten, and {out} exists")
    sources = sample_sources([Catalog(path) for path in catalogs], sample, seed)
    seen = []
    for source, found in tqdm(
        zip(sources, features_of(vocabulary.extractor, sources)), total=len(sources), unit=" images"
    ):
        if isinstance(found, LocalFeatures):
            seen.append(found)
        else:
            notify(f"left out {source}: {found}")
    notify(f"learning {words} words from {sum(map(len, seen))} keypoints")
    vocabulary.fit(seen).save(out)
    click.echo(f"{out}: vocabulary {vocabulary.fingerprint}, {words} words of {features}")
