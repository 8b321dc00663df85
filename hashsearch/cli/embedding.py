"""`hashsearch embed` and `hashsearch embedders`: images to vectors without an index, and the networks that do it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.commands import Command, Group
from hashsearch.cli.options import OutputPath, as_json, embedder_options, with_settings
from hashsearch.cli.progress import Progress
from hashsearch.cli.running import EXIT_REJECTS, notify

if TYPE_CHECKING:
    from hashsearch.config import Settings


@click.command(cls=Command)
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@embedder_options
@click.option("--out", required=True, type=OutputPath(".npz", dir_okay=False), help="The .npz file to write.")
@with_settings("home", "allow_private")
@as_json
def embed(
    settings: Settings, images: tuple[Path, ...], embedder: str, weights: str | None, out: Path, as_json: bool
) -> None:
    """Write the embeddings of IMAGES to a file.

    IMAGES are files or folders. The file has the arrays `sources (n,)` and `vectors (n, dims)`.

    Exit code: 0 done, 3 some images could not be read and were left out, 1 the command failed, 2 wrong options.
    """
    import numpy as np

    from hashsearch import embedders
    from hashsearch.embedders.bulk import embed_sources
    from hashsearch.files import atomic_file

    embedders.check(embedder, weights, trained=settings.embedders, fetched=settings.weights)
    sources = _sources_of(images)
    network = embedders.load(embedder, weights, trained=settings.embedders, fetched=settings.weights)
    with Progress("embed", "images", len(sources)) as progress:
        batches = []
        for batch in embed_sources(network, sources, settings.image_reader):
            batches.append(batch)
            progress.update(len(batch.sources) + len(batch.errors))
    kept = [source for batch in batches for source in batch.sources]
    errors = {source: error for batch in batches for source, error in batch.errors.items()}
    with atomic_file(out) as file:
        np.savez(file, allow_pickle=False, sources=kept, vectors=np.concatenate([batch.vectors for batch in batches]))
    if as_json:
        rejects = [{"source": source, "error": error.code, "reason": str(error)} for source, error in errors.items()]
        click.echo(json.dumps({"out": str(out), "images": len(kept), "dims": network.dims, "rejects": rejects}))
    else:
        for source, error in errors.items():
            notify(f"left out {source}: {error}")
        click.echo(f"{out}: {len(kept)} vectors of {network.dims} dims")
    sys.exit(EXIT_REJECTS if errors else 0)


def _sources_of(images: Sequence[Path]) -> list[str]:
    """The files, and all images in the folders."""
    from hashsearch.catalog.reading import Catalog
    from hashsearch.catalog.sampling import sample_sources

    sources: list[str] = []
    for path in images:
        sources += sample_sources([Catalog(path)], sys.maxsize, 0) if path.is_dir() else [str(path)]
    return sources


@click.group(
    cls=Group, default="list", options_metavar="", subcommand_metavar="[list] [OPTIONS] | fetch NAME... [OPTIONS]"
)
def embedders() -> None:
    """List the networks that --embedder takes, or fetch one.

    `hashsearch embedders` lists them; `hashsearch embedders fetch NAME` downloads the published weights of one, which
    then needs no --weights.
    """


@embedders.command("list")
@with_settings("home")
@as_json
def list_all(settings: Settings, as_json: bool) -> None:
    """List the networks that --embedder takes.

    Each has its dims, its input size, and its weights or the file that is missing. Trained ones also show the photos
    they learned from and their validation figure.
    """
    from hashsearch.embedders.inventory import inventory

    items = inventory(settings.embedders, settings.weights)
    if as_json:
        click.echo(json.dumps([asdict(item) for item in items]))
        return
    width = max(len(item.name) for item in items)
    click.echo(f"{'name':{width}}   dims  px  weights")
    for item in items:
        size = f"{item.name:{width}}  {item.dims or '':>5} {item.input_size or '':>3}"
        training = f"  ({', '.join(filter(None, (item.data, item.watched)))})" if item.data or item.watched else ""
        click.echo(f"{size}  {item.weights}{training}")


@embedders.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@with_settings("home")
def fetch(settings: Settings, names: tuple[str, ...]) -> None:
    """Download the published weights of networks.

    NAME is that of a BiT network or of a Keras application. An interrupted download is continued by the next call.
    BiT's files go to the folder `weights` of --home, Keras's to Keras's cache.
    """
    from hashsearch.embedders import published

    for name in names:
        published.check_name(name)
    for name in names:
        with Progress(f"fetch {name}", "MB") as progress:
            path = published.fetch(name, settings.weights, partial(_show, progress))
        click.echo(f"{name}: {path}")


def _show(progress: Progress, done: int, total: int | None) -> None:
    progress.show(done // 1_000_000, None if total is None else total // 1_000_000)
