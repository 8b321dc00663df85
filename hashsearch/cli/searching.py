"""`hashsearch search`: images or ids, how to search, and the hits as lines or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from hashsearch.cli.options import EXIT_REJECTS, as_json, attributes_of, with_settings
from hashsearch.errors import HashsearchError
from hashsearch.services import open_index, open_searcher

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hashsearch.config import Settings
    from hashsearch.search.searcher import Hit, SearchOptions


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
        from hashsearch.images.decoding import crop

        pixels = self.settings.image_reader.pixels(str(self.image))
        return pixels if self.crop is None else crop(pixels, _sides(self.crop))

    def options(self, **others: Any) -> SearchOptions:
        """The options of a search by codes."""
        from hashsearch.search.searcher import SearchOptions

        return SearchOptions(k=self.k, category=self.category, attributes=self.attributes, **others)


Answer = tuple[Any, str]  # as JSON holds it, and as lines for a terminal


def _by_codes(question: Question, radius: int | None, explained: str | None, **options: Any) -> Answer:
    from hashsearch.search.searcher import as_table

    chosen, searcher = question.options(**options), open_searcher(question.settings)
    if explained is not None:
        if radius is not None:
            raise click.UsageError("--radius finds every image within it: there is nothing to --explain")
        asked = question.pixels() if question.image_id is None else question.image_id
        explanation = searcher.explain(asked, explained, chosen)
        return explanation.as_dict(), explanation.as_lines()
    if question.image_id is not None:
        by_id, within = searcher.by_id, searcher.within_radius_of
        hits = by_id(question.image_id, chosen) if radius is None else within(question.image_id, radius, chosen)
    else:
        vector = searcher.encoder.embed([question.pixels()])[0]
        hits = searcher.by_vector(vector, chosen) if radius is None else searcher.within_radius(vector, radius, chosen)
    return [hit.as_dict() for hit in hits], as_table(hits)


def _by_phash(question: Question, radius: int | None, turned: bool) -> Answer:
    from hashsearch.elastic.queries import filters
    from hashsearch.search.by_phash import PerceptualSearcher, as_table

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
    return [hit.as_dict() for hit in hits], as_table(hits)


def _by_local_features(question: Question, vocabulary: Path | None, matched: int, turned: bool) -> Answer:
    from hashsearch.descriptors.words import Vocabulary
    from hashsearch.elastic.queries import filters
    from hashsearch.search.by_keypoints import LocalSearcher, as_table

    if vocabulary is None:
        raise click.UsageError("--method sift needs the --vocabulary that the index was made with")
    words, (_, index) = Vocabulary.load(vocabulary), open_index(question.settings)
    searcher = LocalSearcher(index, words, question.settings.image_reader)
    narrowed = filters(question.category, question.attributes)
    if question.image_id is not None:
        hits = searcher.by_id(question.image_id, question.k, candidates=matched, turned=turned, filters=narrowed)
    else:
        hits = searcher.by_image(question.pixels(), question.k, candidates=matched, turned=turned, filters=narrowed)
    return [hit.as_dict() for hit in hits], as_table(hits)


@dataclass(frozen=True)
class _Method:
    """A way to search, and the options that it has beside those of all."""

    answer: Callable[..., Answer]
    options: tuple[str, ...]


_OF_CODES = ("candidates", "strategy", "compared", "probes", "min_cosine", "radius", "explained")
_METHODS = {
    "codes": _Method(_by_codes, _OF_CODES),
    "phash": _Method(_by_phash, ("radius", "turned")),
    "sift": _Method(_by_local_features, ("vocabulary", "matched", "turned")),
}


def _options_of(method: str, options: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that the method has; UsageError when another one was given."""
    own, given = _METHODS[method].options, click.get_current_context().get_parameter_source
    for name in options.keys() - set(own):
        if given(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{_flag(name)} is not for --method {method}")
    return {name: options[name] for name in own}


def _flag(name: str) -> str:
    """An option as it is written."""
    return next(one.opts[0] for one in click.get_current_context().command.params if one.name == name)


def _each(
    settings: Settings, images: Sequence[Path], image_ids: Sequence[str], options: SearchOptions
) -> Iterator[tuple[str, list[Hit] | HashsearchError]]:
    """The hits of each image or id, in order, or what is wrong with it."""
    from hashsearch.embedders.bulk import embed_sources

    searcher = open_searcher(settings)
    yield from zip(image_ids, searcher.search_many(image_ids, options))
    sources = list(dict.fromkeys(map(str, images)))
    for batch in embed_sources(searcher.encoder.embedder, sources, settings.image_reader):
        found: dict[str, list[Hit] | HashsearchError] = dict(batch.errors)
        found |= zip(batch.sources, searcher.search_many(batch.vectors, options))
        yield from ((source, found[source]) for source in sources if source in found)


def _tell_each(answers: Iterator[tuple[str, list[Hit] | HashsearchError]], as_json: bool) -> int:
    """Print each answer when it is there, as a line of JSON or a table; the exit code."""
    from hashsearch.search.searcher import as_table

    failed = 0
    for asked, answer in answers:
        if isinstance(answer, HashsearchError):
            failed += 1
            told: dict[str, Any] = {"error": {"code": answer.code, "message": str(answer)}}
            lines = f"{answer.code}: {answer}"
        else:
            told, lines = {"hits": [hit.as_dict() for hit in answer]}, as_table(answer)
        click.echo(json.dumps({"query": asked, **told}) if as_json else f"{asked}:\n{lines}\n")
    return EXIT_REJECTS if failed else 0


@click.command()
@click.argument("images", metavar="[IMAGE]...", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--id", "image_ids", multiple=True, help="Search with an indexed image instead; may be repeated.")
@with_settings("index", "encoder", "es_url", "home")
@click.option(
    "--method",
    type=click.Choice(list(_METHODS)),
    default="codes",
    show_default=True,
    help="What is compared: codes and vectors of the network, perceptual hashes, or keypoints.",
)
@click.option("-k", default=10, show_default=True, help="Hits wanted.")
@click.option(
    "--candidates",
    type=int,
    help="Codes recalled, to be re-ranked by cosine.  [default: as the index was tuned, else 500; -k at least]",
)
@click.option(
    "--strategy",
    help="scan, sub_codes or graph.  [default: as the index was tuned; else graph where the index has one; else scan, "
    "but sub_codes above 50,000 images if they are cells]",
)
@click.option(
    "--compared",
    type=int,
    help="Codes compared at most, with cells.  [default: as the index was tuned; else a 40th of the index, 10,000 and "
    "16 average cells at least]",
)
@click.option(
    "--probes",
    type=int,
    help="Sub-codes asked for of each block, with blocks.  [default: as the index was tuned, else 16]",
)
@click.option("--category", multiple=True, help="Only images of this category; may be repeated.")
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE", help="Only images with it; repeatable.")
@click.option("--min-cosine", type=float, help="Only hits at least this similar.")
@click.option(
    "--radius", type=int, help="All images whose code or hash differs in at most this many bits, instead of the k best."
)
@click.option(
    "--explain", "explained", metavar="ID", help="Tell why this indexed image is found or is not, instead of the hits."
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
    images: tuple[Path, ...],
    image_ids: tuple[str, ...],
    k: int,
    category: tuple[str, ...],
    attributes: tuple[str, ...],
    crop: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find the indexed images nearest to IMAGE.

    Of several, or of several --id, each has its own hits: with --json a line each, with `query` and `hits` or `error`.
    Exit code 3 when some could not be searched with.
    """
    if bool(images) == bool(image_ids):
        raise click.UsageError("give either IMAGE or --id")
    image, image_id = next(iter(images), None), next(iter(image_ids), None)
    question = Question(settings, image, image_id, crop, k, category, attributes_of(attributes))
    chosen = _options_of(method, options)
    if len(images) + len(image_ids) > 1:
        if method != "codes" or crop or chosen.pop("radius") is not None or chosen.pop("explained") is not None:
            raise click.UsageError("--method, --crop, --radius and --explain are for one query, got several")
        sys.exit(_tell_each(_each(settings, images, image_ids, question.options(**chosen)), as_json))
    answer, lines = _METHODS[method].answer(question, **chosen)
    click.echo(json.dumps(answer) if as_json else lines)


def _sides(box: str) -> list[float]:
    try:
        return [float(side) if "." in side else int(side) for side in box.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"must be four numbers, got '{box}'", param_hint="--crop") from error
