"""`hashsearch fit`: fit an encoder on a sample of catalogs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.commands import Command
from hashsearch.cli.options import OUTPUT_FOLDER, catalogs_argument, embedder_options, with_settings
from hashsearch.cli.progress import Progress
from hashsearch.cli.running import notify

if TYPE_CHECKING:
    from hashsearch.config import Settings
    from hashsearch.embedders import Embedder
    from hashsearch.hashing.binarizers import Binarizer
    from hashsearch.hashing.sub_codes import Blocks, Cells
    from hashsearch.hashing.vectors import Vectors
    from hashsearch.images.sources import ImageReader


@click.command(cls=Command)
@catalogs_argument
@click.option("--out", required=True, type=OUTPUT_FOLDER, help="New folder for the encoder.")
@embedder_options
@click.option(
    "--binarizer",
    default="rotation",
    show_default=True,
    help="How vectors become bits: rotation, itq, hyperplanes, median, mean, or head, which learns from categories.",
)
@click.option("--bits", default=1024, show_default=True, help="Length of a code, a multiple of 8.")
@click.option(
    "--sub-codes", default="cells", show_default=True, help="Terms in the inverted index: cells or blocks of the code."
)
@click.option(
    "--cells",
    type=int,
    help="Number of cells, with --sub-codes cells.  [default: one for 16 images of the sample, from 16 to 4096]",
)
@click.option("--rerank-dims", type=int, help="PCA dimensions of the stored vector, 1 to 4096.  [default: no PCA]")
@click.option(
    "--rerank-dtype", default="float32", show_default=True, help="Numbers of the stored vector: float32 or int8."
)
@click.option(
    "--sample",
    default=20_000,
    show_default=True,
    type=click.IntRange(2),
    help="Images to learn from; 65536 are recommended for an index of millions.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="What the network computes in; bfloat16, where the processor has it, is faster and moves vectors a little.",
)
@click.option(
    "--centre/--no-centre",
    "centred",
    default=True,
    show_default=True,
    help="Subtract the mean of the sample from vectors before they are compared.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the sample and of the fitting.")
@with_settings("home", "allow_private")
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
    precision: str,
    centred: bool,
    seed: int,
) -> None:
    """Fit an encoder on images of the CATALOGs.

    Binarizer, sub-codes and re-rank vectors are learned and saved as one folder, with the network in it. A CATALOG is
    what `hashsearch index` takes. An index made with an encoder works with no other.
    """
    from hashsearch import embedders
    from hashsearch.catalog.reading import Catalog
    from hashsearch.catalog.sampling import sample_labelled
    from hashsearch.encoder import EmbedderSpec, Encoder, check_new
    from hashsearch.hashing.rerank_vectors import RerankVectors
    from hashsearch.training.hash_head import make_binarizer

    check_new(out)
    hashes, vectors = make_binarizer(binarizer, bits=bits, seed=seed), RerankVectors(rerank_dims, rerank_dtype, seed)
    _sub_codes(sub_codes, cells, 0, seed)
    if dims := embedders.check(embedder, weights, trained=settings.embedders, fetched=settings.weights):
        vectors.check_dims(dims)
    sources = [Catalog(path) for path in catalogs]
    for source in sources:
        source.check()
    sampled = sample_labelled(sources, sample, seed)
    report_unlabelled(hashes, [category for _, category in sampled])
    terms = _sub_codes(sub_codes, cells, len(sampled), seed)
    network = embedders.load(embedder, weights, {"precision": precision}, settings.embedders, settings.weights)
    vectors.check_dims(network.dims)
    embeddings, labels = embed_sampled(network, sampled, settings.image_reader)
    spec = EmbedderSpec.of(network)
    encoder = Encoder.fit(spec, embeddings, hashes, terms, vectors, labels, centred=centred)
    encoder.save(out)
    click.echo(
        f"{out}: encoder {encoder.fingerprint}, {encoder.bits} bits of {encoder.dims} dims, "
        f"re-rank vectors of {encoder.rerank_dims} {vectors.dtype}"
    )


def _sub_codes(name: str, cells: int | None, images: int, seed: int) -> Blocks | Cells:
    """New sub-codes of that name, with `cells` cells or as many as suit the images to learn from."""
    from hashsearch.hashing.sub_codes import cells_for, make_sub_codes

    if name == "cells":
        return make_sub_codes(name, cells=cells_for(images) if cells is None else cells, seed=seed)
    if cells is not None:
        raise click.UsageError(f"--cells goes with --sub-codes cells, got --sub-codes {name}")
    return make_sub_codes(name)


def embed_sampled(
    network: Embedder, sampled: Sequence[tuple[str, str | None]], reader: ImageReader
) -> tuple[Vectors, list[str | None]]:
    """Vectors `(n, dims)` and categories of the sources that are images."""
    import numpy as np

    from hashsearch.embedders.bulk import embed_sources

    vectors, labels = [], []
    categories = dict(sampled)
    with Progress("embed", "images", len(sampled)) as progress:
        for batch in embed_sources(network, (source for source, _ in sampled), reader):
            vectors.append(batch.vectors)
            labels += [categories[source] for source in batch.sources]
            for source, error in batch.errors.items():
                notify(f"left out {source}: {error}")
            progress.update(len(batch.sources) + len(batch.errors))
    return np.concatenate(vectors), labels


def report_unlabelled(binarizer: Binarizer, categories: Sequence[str | None]) -> None:
    """Report how many images a binarizer cannot learn from; HashingError when too few classes are left."""
    if left_out := int((~binarizer.learns_from(categories)).sum()):
        unknown = categories.count(None)
        single = left_out - unknown
        notify(
            f"{binarizer.name} learns from categories: {unknown} images without one and {single} alone in theirs are "
            "not used"
        )
