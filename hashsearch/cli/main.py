"""What a person runs: `hashsearch node | embedders | embed | search | match | serve | demo`.

Heavy parts are imported when used.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch import __version__
from hashsearch.cli.options import EXIT_REJECTS, as_json, embedder_options, notify, run_reporting_errors, with_settings
from hashsearch.cli.searching import search
from hashsearch.services import load_encoder, open_searchers

if TYPE_CHECKING:
    from hashsearch.config import Settings
    from hashsearch.node.node import LocalNode, NodeStatus


@click.group()
@click.version_option(__version__, prog_name="hashsearch")
def commands() -> None:
    """Image search by binary codes and exact cosine, on stock Elasticsearch."""


commands.add_command(search)


@commands.group()
def node() -> None:
    """The local Elasticsearch, for trying and testing."""


def _local_nodes(settings: Settings, count: int, port: int | None) -> list[LocalNode]:
    from hashsearch.node.node import LocalNode

    if count == 1:
        return [LocalNode(settings.home, port=port)]
    ports = [None if port is None else port + place for place in range(count)]
    return [LocalNode(settings.home, f"node{place + 1}", ports[place], heap="512m") for place in range(count)]


nodes_option = click.option(
    "--nodes", default=1, show_default=True, type=click.IntRange(1, 9), help="How many, as one cluster."
)


@node.command()
@with_settings("home")
@nodes_option
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the first.  [default: a free one]")
@as_json
def start(settings: Settings, nodes: int, port: int | None, as_json: bool) -> None:
    """Start it, unless it runs; downloaded on the first start."""
    from hashsearch.node.node import start_cluster

    _tell_nodes(start_cluster(_local_nodes(settings, nodes, port), notify), as_json)


@node.command()
@with_settings("home")
@nodes_option
def stop(settings: Settings, nodes: int) -> None:
    """Stop it; what is indexed is kept."""
    for local in _local_nodes(settings, nodes, None):
        click.echo(f"{local.name} {'stopped' if local.stop() else 'was not running'}")


@node.command()
@with_settings("home")
@nodes_option
@as_json
def status(settings: Settings, nodes: int, as_json: bool) -> None:
    """Tell whether it runs, where and how it is. Exit code 1 when it does not run."""
    found = [local.status() for local in _local_nodes(settings, nodes, None)]
    _tell_nodes(found, as_json)
    sys.exit(0 if all(one.running for one in found) else 1)


def _tell_nodes(found: list[NodeStatus], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], default=str))
        return
    for one in found:
        where = f"{one.health}, at {one.url} (process {one.pid})" if one.running else "not running"
        click.echo(f"{one.name}: Elasticsearch {one.version} {where}; {one.folder}")


@commands.command()
@with_settings("home")
@as_json
def embedders(settings: Settings, as_json: bool) -> None:
    """List what `--embedder` takes by name: dims, pixels, and where the weights are or which file is missing.

    A trained one also tells the photos that it learned from and the figure that its training watched.
    """
    from hashsearch.embedders.inventory import inventory

    found = inventory(settings.embedders)
    if as_json:
        click.echo(json.dumps([asdict(item) for item in found]))
        return
    width = max(len(item.name) for item in found)
    click.echo(f"{'name':{width}}   dims  px  weights")
    for item in found:
        known = f"{item.name:{width}}  {item.dims or '':>5} {item.input_size or '':>3}"
        learned = f"  ({', '.join(filter(None, (item.data, item.watched)))})" if item.data or item.watched else ""
        click.echo(f"{known}  {item.weights}{learned}")


@commands.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@embedder_options
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="An .npz file to write.")
@with_settings("home")
@as_json
def embed(
    settings: Settings, images: tuple[Path, ...], embedder: str, weights: str | None, out: Path, as_json: bool
) -> None:
    """Write the embeddings of IMAGES (files, or folders of them) to a file: `sources (n,)`, `vectors (n, dims)`.

    Exit code 3 when some could not be read; they are listed and left out.
    """
    import numpy as np

    from hashsearch import embedders
    from hashsearch.catalog.reading import Catalog
    from hashsearch.catalog.sampling import sample_sources
    from hashsearch.embedders.bulk import embed_sources

    network = embedders.load(embedder, weights, trained=settings.embedders)
    sources = [
        source
        for path in images
        for source in (sample_sources([Catalog(path)], sys.maxsize, 0) if path.is_dir() else [str(path)])
    ]
    batches = list(embed_sources(network, sources))
    kept = [source for batch in batches for source in batch.sources]
    errors = {source: error for batch in batches for source, error in batch.errors.items()}
    np.savez(out, allow_pickle=False, sources=kept, vectors=np.concatenate([batch.vectors for batch in batches]))
    if as_json:
        rejects = [{"source": source, "error": error.code, "reason": str(error)} for source, error in errors.items()]
        click.echo(json.dumps({"out": str(out), "images": len(kept), "dims": network.dims, "rejects": rejects}))
    else:
        for source, error in errors.items():
            notify(f"left out {source}: {error}")
        click.echo(f"{out}: {len(kept)} vectors of {network.dims} dims")
    sys.exit(EXIT_REJECTS if errors else 0)


@commands.command()
@click.argument("images", metavar="A B", nargs=2, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--features", default="sift", show_default=True, help="What is matched: sift, orb or akaze.")
@click.option("--keypoints", default=256, show_default=True, help="Of an image at most, the strongest.")
@click.option("--side", default=320, show_default=True, help="Pixels of the longer side, to which images are reduced.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A picture to write, of what matches.")
@as_json
def match(images: tuple[Path, Path], features: str, keypoints: int, side: int, out: Path | None, as_json: bool) -> None:
    """Tell whether images A and B show the same, by keypoints that match."""
    from hashsearch.descriptors.keypoints import LocalExtractor
    from hashsearch.descriptors.matching import draw_matches, verdict, verify
    from hashsearch.images.sources import DEFAULT_READER

    extractor = LocalExtractor(features, keypoints, side)
    first, second = (DEFAULT_READER.pixels(str(image)) for image in images)
    a, b = extractor.extract(first), extractor.extract(second)
    found = verify(a, b)
    if out is not None:
        from PIL import Image

        Image.fromarray(draw_matches(first, second, a, b, found)).save(out)
    numbers = {name: getattr(found, name) for name in ("inliers", "matches", "share", "overlap", "spread", "score")}
    if as_json:
        click.echo(json.dumps({"verdict": verdict(found), **numbers, "keypoints": [len(a), len(b)]}))
        return
    click.echo(
        f"{verdict(found)}: {found.inliers} of {found.matches} matches obey one homography, score {found.score:.2f}; "
        f"{found.share:.0%} of the keypoints match, the pictures overlap by {found.overlap:.0%}"
    )


@commands.command()
@with_settings("index", "encoder", "models", "es_url", "home", "host", "port", "image_roots")
def serve(settings: Settings) -> None:
    """Serve the search page and the JSON API."""
    from hashsearch.web import create_app, server

    served = server(create_app(open_searchers(settings), settings), settings.host, settings.port)
    notify(f"search page: http://{settings.host}:{settings.port}/   (Ctrl-C ends it)")
    served.run()


@commands.command()
@click.option(
    "--catalog", type=click.Path(exists=True, path_type=Path), help="Your own pictures: a folder, or a file with rows."
)
@with_settings("es_url", "home", "host", "port")
def demo(settings: Settings, catalog: Path | None) -> None:
    """Try it: index a drawn catalog, or your own, answer a first query, serve the search page until Ctrl-C."""
    from hashsearch.cli.tour import show
    from hashsearch.node.node import LocalNode

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    local = LocalNode(settings.home)
    ours = not settings.es_url and not local.status().running
    try:
        show(settings, load_encoder(settings), catalog, notify)
    except KeyboardInterrupt:
        notify("")
    finally:
        if ours:
            notify("stopping Elasticsearch")
            local.stop()


def main() -> None:
    """Entry point of the `hashsearch` command."""
    run_reporting_errors(commands)


if __name__ == "__main__":
    main()
