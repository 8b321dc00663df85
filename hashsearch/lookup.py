"""`hashsearch search`: an image or an id, how to search, and the hits as lines or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from hashsearch.options import as_json, load_encoder, say, with_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hashsearch.config import Settings
    from hashsearch.encoder import Encoder
    from hashsearch.index.store import ImageIndex
    from hashsearch.search import Searcher


def open_searcher(settings: Settings) -> Searcher:
    """A searcher of the settings' index, with its encoder."""
    from hashsearch.search import Searcher

    return Searcher(*open_index(settings))


def open_index(settings: Settings) -> tuple[Encoder, ImageIndex]:
    """The encoder of the settings, and their index opened with it."""
    from hashsearch.index.cluster import connect_cluster
    from hashsearch.index.store import ImageIndex

    encoder = load_encoder(settings)
    return encoder, ImageIndex.open(connect_cluster(settings, say), settings.index, encoder)


@dataclass(frozen=True)
class Question:
    """What is searched with, a picture or the id of an indexed one, and what narrows all methods."""

    settings: Settings
    image: Path | None
    image_id: str | None
    crop: str | None
    k: int
    category: Sequence[str]
    attributes: dict[str, list[str]]

    def pixels(self) -> NDArray[np.uint8]:
        """The picture, or what is wanted of it: `(height, width, 3) uint8`."""
        from hashsearch.embedding import read_source
        from hashsearch.images import crop, decode

        limits = self.settings.limits
        pixels = decode(read_source(str(self.image), limits), limits)
        return pixels if self.crop is None else crop(pixels, _sides(self.crop))


Answer = tuple[Sequence[Any], str]  # hits, and the same as lines for a terminal


def _by_codes(question: Question, radius: int | None, **options: Any) -> Answer:
    from hashsearch.search import SearchOptions, as_table

    chosen = SearchOptions(k=question.k, category=question.category, attributes=question.attributes, **options)
    searcher = open_searcher(question.settings)
    if question.image_id is not None:
        by_id, within = searcher.by_id, searcher.within_radius_of
        hits = by_id(question.image_id, chosen) if radius is None else within(question.image_id, radius, chosen)
    else:
        vector = searcher.encoder.embed([question.pixels()])[0]
        hits = searcher.by_vector(vector, chosen) if radius is None else searcher.within_radius(vector, radius, chosen)
    return hits, as_table(hits)


def _by_phash(question: Question, radius: int | None, turned: bool) -> Answer:
    from hashsearch.index.queries import filters
    from hashsearch.perceptual import PerceptualSearcher, as_table

    if turned and question.image_id is not None:
        raise click.UsageError("--turned turns the picture itself: give IMAGE instead of --id")
    narrowed = filters(question.category, question.attributes)
    searcher = PerceptualSearcher(open_index(question.settings)[1])
    if radius is None:
        if question.image_id is not None:
            hits = searcher.by_id(question.image_id, question.k, filters=narrowed)
        else:
            hits = searcher.by_image(question.pixels(), question.k, turned=turned, filters=narrowed)
    elif question.image_id is not None:
        hits = searcher.within_radius_of(question.image_id, radius, filters=narrowed)
    else:
        hits = searcher.within_radius(question.pixels(), radius, turned=turned, filters=narrowed)
    return hits, as_table(hits)


def _by_local_features(question: Question, vocabulary: Path | None, matched: int, turned: bool) -> Answer:
    from hashsearch.baselines.words import Vocabulary
    from hashsearch.index.queries import filters
    from hashsearch.local import LocalSearcher, as_table

    if vocabulary is None:
        raise click.UsageError("--method sift needs the --vocabulary that the index was made with")
    words, (_, index) = Vocabulary.load(vocabulary), open_index(question.settings)
    searcher = LocalSearcher(index, words, question.settings.limits)
    narrowed = filters(question.category, question.attributes)
    if question.image_id is not None:
        hits = searcher.by_id(question.image_id, question.k, candidates=matched, turned=turned, filters=narrowed)
    else:
        hits = searcher.by_image(question.pixels(), question.k, candidates=matched, turned=turned, filters=narrowed)
    return hits, as_table(hits)


@dataclass(frozen=True)
class _Method:
    """A way to search, and the options that it has beside those of all."""

    answer: Callable[..., Answer]
    options: tuple[str, ...]


_METHODS = {
    "codes": _Method(_by_codes, ("candidates", "strategy", "compared", "probes", "min_cosine", "radius")),
    "phash": _Method(_by_phash, ("radius", "turned")),
    "sift": _Method(_by_local_features, ("vocabulary", "matched", "turned")),
}


def _options_of(method: str, options: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that the method has; UsageError when another one was given."""
    own, given = _METHODS[method].options, click.get_current_context().get_parameter_source
    for name in options.keys() - set(own):
        if given(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} is not for --method {method}")
    return {name: options[name] for name in own}


@click.command()
@click.argument("image", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--id", "image_id", help="Search with an indexed image instead.")
@with_settings("index", "encoder", "es_url", "home")
@click.option(
    "--method",
    type=click.Choice(list(_METHODS)),
    default="codes",
    show_default=True,
    help="What is compared: codes and vectors of the network, perceptual hashes, or keypoints.",
)
@click.option("-k", default=10, show_default=True, help="Hits wanted.")
@click.option("--candidates", default=500, show_default=True, help="Codes recalled, to be re-ranked by cosine.")
@click.option(
    "--strategy",
    help="scan, sub_codes or graph.  [default: graph where the index has one; else scan, but sub_codes above 50,000 "
    "images if they are cells]",
)
@click.option(
    "--compared",
    type=int,
    help="Codes compared at most, with cells.  [default: a 40th of the index, 10,000 and 16 average cells at least]",
)
@click.option("--probes", type=int, help="Sub-codes asked for of each block, with blocks.  [default: 16]")
@click.option("--category", multiple=True, help="Only images of this category; may be repeated.")
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE", help="Only images with it; repeatable.")
@click.option("--min-cosine", type=float, help="Only hits at least this similar.")
@click.option(
    "--radius", type=int, help="All images whose code or hash differs in at most this many bits, instead of the k best."
)
@click.option(
    "--turned",
    is_flag=True,
    help="By phash: also find the picture rotated by right angles or mirrored; by sift: also mirrored.",
)
@click.option(
    "--vocabulary",
    type=click.Path(dir_okay=False, path_type=Path),
    help="By sift: the file that the index was made with.",
)
@click.option("--matched", default=50, show_default=True, help="By sift: pictures that are read and matched.")
@click.option("--crop", help="Part of the image: left,top,right,bottom in pixels, or as fractions (0.1,0,0.9,1.0).")
@as_json
def search(
    settings: Settings,
    method: str,
    image: Path | None,
    image_id: str | None,
    k: int,
    category: tuple[str, ...],
    attributes: tuple[str, ...],
    crop: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find the indexed images nearest to IMAGE."""
    if (image is None) == (image_id is None):
        raise click.UsageError("give either IMAGE or --id")
    question = Question(settings, image, image_id, crop, k, category, attributes_of(attributes))
    hits, table = _METHODS[method].answer(question, **_options_of(method, options))
    click.echo(json.dumps([hit.as_dict() for hit in hits]) if as_json else table)


def _sides(box: str) -> list[float]:
    try:
        return [float(side) if "." in side else int(side) for side in box.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"must be four numbers, got '{box}'", param_hint="--crop") from error


def attributes_of(pairs: tuple[str, ...]) -> dict[str, list[str]]:
    """Values by name, of options NAME=VALUE."""
    wanted: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"must be NAME=VALUE, got '{pair}'", param_hint="--attribute")
        wanted.setdefault(name, []).append(value)
    return wanted
