"""Fit an encoder on a sample of catalogs: `python -m jobs.fit_encoder CATALOG... --out FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.options import catalogs_argument, embedder_options, notify, with_settings

if TYPE_CHECKING:
    from hashsearch.config import Settings
    from hashsearch.hashing.binarizers import Binarizer


@click.command()
@catalogs_argument
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to make; it must not exist.")
@embedder_options
@click.option(
    "--binarizer", default="rotation", show_default=True, help="How vectors become bits; head learns from categories."
)
@click.option("--bits", default=1024, show_default=True, help="Length of a code, a multiple of 8.")
@click.option("--sub-codes", default="cells", show_default=True, help="Terms of the inverted index: cells or blocks.")
@click.option(
    "--cells",
    type=int,
    help="How many cells, with --sub-codes cells.  [default: one for 16 images learned from, 16 to 4096]",
)
@click.option("--rerank-dims", type=int, help="PCA of the vector that is stored to re-rank by.  [default: all dims]")
@click.option("--rerank-dtype", default="float32", show_default=True, help="Of its numbers: float32 or int8.")
@click.option(
    "--sample",
    default=20_000,
    show_default=True,
    type=click.IntRange(2),
    help="Images to learn from; for an index of millions 65536 are worth their time.",
)
@click.option("--seed", default=0, show_default=True, help="Of the sample and of all that is random in the fitting.")
@with_settings("home")
def main(
    settings: Settings,
    catalogs: tuple[Path, ...],
    out: Path,
    embedder: str,
    weights: str | None,
    binarizer: str,
    bits: int,
    sub_codes: str,
    cells: int | None,
    rerank_dims: int | None,
    rerank_dtype: str,
    sample: int,
    seed: int,
) -> None:
    """Learn binarizer, sub-codes and re-rank vectors from images of the CATALOGs and save them as one folder.

    The network goes into it too. A CATALOG is what `jobs.index_catalog` takes. The index made with the encoder can be
    used with no other.
    """
    import numpy as np
    from tqdm import tqdm

    from hashsearch import embedders
    from hashsearch.catalog.reading import Catalog
    from hashsearch.catalog.sampling import sample_labelled
    from hashsearch.embedders.bulk import embed_sources
    from hashsearch.encoder import EmbedderSpec, Encoder
    from hashsearch.hashing.binarizers import make_binarizer
    from hashsearch.hashing.rerank_vectors import RerankVectors
    from hashsearch.hashing.sub_codes import make_sub_codes

    hashes = make_binarizer(binarizer, bits=bits, seed=seed)
    stored = RerankVectors(rerank_dims, rerank_dtype, seed)
    sampled = sample_labelled([Catalog(path) for path in catalogs], sample, seed)
    category = dict(sampled)
    tell_untaught(hashes, [category for _, category in sampled])
    asked = {"cells": cells_for(len(sampled)) if cells is None else cells, "seed": seed}
    terms = make_sub_codes(sub_codes, **(asked if sub_codes == "cells" else {}))
    network = embedders.load(embedder, weights, trained=settings.embedders)
    stored.check_dims(network.dims)  # before the work, not after it
    vectors, labels = [], []
    with tqdm(total=len(sampled), unit=" images") as bar:
        for batch in embed_sources(network, (source for source, _ in sampled)):
            vectors.append(batch.vectors)
            labels += [category[source] for source in batch.sources]
            for source, error in batch.errors.items():
                notify(f"left out {source}: {error}")
            bar.update(len(batch.sources) + len(batch.errors))
    encoder = Encoder.fit(EmbedderSpec.of(network), np.concatenate(vectors), hashes, terms, stored, labels)
    encoder.save(out)
    click.echo(
        f"{out}: encoder {encoder.fingerprint}, {encoder.bits} bits of {encoder.dims} dims, "
        f"re-rank vectors of {encoder.rerank_dims} {stored.dtype}"
    )


def tell_untaught(binarizer: Binarizer, categories: Sequence[str | None]) -> None:
    """Say how many images a binarizer will not learn from; HashingError when it would learn from too few classes."""
    if left_out := int((~binarizer.learns_from(categories)).sum()):
        unknown = categories.count(None)
        alone = left_out - unknown
        notify(f"no labels for {binarizer.name}: {unknown} images have no category, {alone} the only of theirs")


def cells_for(images: int) -> int:
    """How many cells are learned from so many images: one for 16 of them, 16 to 4096."""
    return min(max(images // 16, 16), 4096)
