"""`hashsearch search`: by codes (the default), by perceptual hash, or by keypoints; hits as a table or as JSON."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from hashsearch.cli.commands import Group
from hashsearch.cli.options import (
    EXISTING_FILE,
    FILE,
    Decorated,
    as_json,
    attribute_option,
    category_option,
    values_by_name,
    with_options,
    with_settings,
)
from hashsearch.cli.running import EXIT_REJECTS, notify
from hashsearch.errors import HashsearchError
from hashsearch.services import open_keypoint_searcher, open_phash_searcher, open_searcher

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hashsearch.config import Settings
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.elastic.queries import Body
    from hashsearch.search.planner import SearchOptions
    from hashsearch.search.searcher import Hit, Searcher


class Crop(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2
    """Four numbers between commas: `"10,0,200,100"` -> `[10, 0, 200, 100]`."""

    name = "LEFT,TOP,RIGHT,BOTTOM"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> list[float]:
        try:
            sides = [float(side) if "." in side else int(side) for side in value.split(",")]
        except ValueError:
            sides = []
        if len(sides) != 4:
            self.fail(f"must be four numbers, got '{value}'", param, context)
        return sides


@dataclass(frozen=True)
class SearchQuery:
    """What all methods share: images or ids to search with, how many hits, and filters."""

    settings: Settings
    images: tuple[Path, ...]
    image_ids: tuple[str, ...]
    k: int
    category: tuple[str, ...]
    attributes: dict[str, list[str]]
    crop: list[float] | None

    def __post_init__(self) -> None:
        if bool(self.images) == bool(self.image_ids):
            raise click.UsageError("give either IMAGE or --id")
        if self.crop and self.image_ids:
            raise click.UsageError("--crop takes a part of IMAGE: give IMAGE instead of --id")

    def __len__(self) -> int:
        return len(self.images) + len(self.image_ids)

    def single(self, method: str) -> str | NDArray[np.uint8]:
        """The id, or the image `(height, width, 3) uint8`; UsageError for several."""
        if len(self) > 1:
            raise click.UsageError(f"{method} takes one query, got {len(self)}")
        return self.image_ids[0] if self.image_ids else self._read_image()

    def _read_image(self) -> NDArray[np.uint8]:
        from hashsearch.images.decoding import crop

        pixels = self.settings.image_reader.pixels(str(self.images[0]))
        return pixels if self.crop is None else crop(pixels, self.crop)

    def filters(self, index: ImageIndex) -> list[Body]:
        """The filters as clauses of a query; SearchError for an attribute that no image of the index has."""
        from hashsearch.elastic.queries import filters
        from hashsearch.search.filtering import FilterChecks

        FilterChecks(index).check_names(self.attributes)
        return filters(self.category, self.attributes)


_QUERY_OPTIONS = (
    click.argument("images", metavar="[IMAGE]...", nargs=-1, type=EXISTING_FILE),
    click.option("--id", "image_ids", multiple=True, help="Search with an indexed image instead; repeatable."),
    with_settings("index", "encoder", "es_url", "home"),
    click.option("-k", default=10, show_default=True, help="Number of hits."),
    category_option,
    attribute_option,
    click.option("--crop", type=Crop(), help="Part of IMAGE, in pixels or as fractions (0.1,0,0.9,1.0)."),
)


def query_options(command: Decorated) -> Decorated:
    """Add the options that all methods share to a command, which gets them as `query`."""

    @functools.wraps(command)
    def run(**arguments: Any) -> Any:
        shared = {field.name: arguments.pop(field.name) for field in fields(SearchQuery)}
        shared["attributes"] = values_by_name(shared["attributes"])
        return command(query=SearchQuery(**shared), **arguments)

    return with_options(cast("Decorated", run), _QUERY_OPTIONS)


def _print_hits(
    hits: Sequence[Any],
    table: Callable[[Sequence[Any]], str],
    as_json: bool,
    index: ImageIndex,
    filters: Sequence[Body],
) -> None:
    from hashsearch.search.filtering import FilterChecks

    click.echo(json.dumps([hit.as_dict() for hit in hits]) if as_json else table(hits))
    if not hits and (note := FilterChecks(index).note(filters)):
        notify(note)


@click.group(
    cls=Group,
    default="codes",
    options_metavar="",
    subcommand_metavar="[codes | phash | sift] [OPTIONS] [IMAGE]...",
)
def search() -> None:
    """Find the indexed images most similar to an image.

    `hashsearch search IMAGE` compares codes, then vectors. `search phash` compares perceptual hashes and `search sift`
    keypoints instead.
    """


@search.command()
@query_options
@click.option(
    "--candidates",
    type=int,
    help="Images re-ranked by exact cosine.  [default: the tuned value, else 500; at least k]",
)
@click.option(
    "--strategy",
    help="How candidates are chosen: scan, sub_codes or graph.  [default: the tuned strategy; else graph if the index "
    "has one; else scan, but sub_codes above 50,000 images if they are cells]",
)
@click.option(
    "--compared",
    type=int,
    help="With cells, codes compared at most.  [default: the tuned value; else a 40th of the index, but at least "
    "10,000 and 16 average cells]",
)
@click.option(
    "--probes", type=int, help="With blocks, sub-codes probed per block.  [default: the tuned value, else 16]"
)
@click.option("--min-cosine", type=float, help="Only hits with at least this cosine.")
@click.option("--radius", type=int, help="All images within this Hamming distance, instead of the k most similar.")
@click.option("--explain", "explained", metavar="ID", help="Explain why this indexed image is a hit or not.")
@as_json
def codes(
    query: SearchQuery,
    radius: int | None,
    explained: str | None,
    as_json: bool,
    **recall: Any,
) -> None:
    """Search by codes and vectors of the network.

    Several images, or several --id, have their own hits each: with --json a line each, with `query` and `hits` or
    `error`.

    Exit code: 0 done, 3 some queries failed, 1 the search failed, 2 wrong options.
    """
    from hashsearch.search.planner import SearchOptions
    from hashsearch.search.searcher import as_table

    options = SearchOptions(k=query.k, category=query.category, attributes=query.attributes, **recall)
    if len(query) > 1 and query.crop is None and radius is None and explained is None:
        sys.exit(_print_each(_search_each(query, options), as_json))
    example = query.single("a search with --crop, --radius or --explain")
    if explained is not None and radius is not None:
        raise click.UsageError("--explain is about the k most similar images: it does not go with --radius")
    searcher = open_searcher(query.settings)
    if explained is not None:
        explanation = searcher.explain(example, explained, options)
        click.echo(json.dumps(explanation.as_dict()) if as_json else explanation.as_lines())
        return
    hits = _hits(searcher, example, radius, options)
    _print_hits(hits, as_table, as_json, searcher.index, options.filters)


def _hits(searcher: Searcher, query: str | NDArray[np.uint8], radius: int | None, options: SearchOptions) -> list[Hit]:
    if isinstance(query, str):
        if radius is None:
            return searcher.by_id(query, options)
        return searcher.within_radius_of(query, radius, options)
    if radius is None:
        return searcher.by_image(query, options)
    return searcher.within_radius(searcher.encoder.embed([query])[0], radius, options)


@search.command()
@query_options
@click.option("--radius", type=int, help="All images within this Hamming distance, instead of the k most similar.")
@click.option("--turned", is_flag=True, help="Also find IMAGE rotated by right angles or mirrored.")
@as_json
def phash(
    query: SearchQuery,
    radius: int | None,
    turned: bool,
    as_json: bool,
) -> None:
    """Search by perceptual hash.

    Finds copies, also resized and recompressed ones.
    """
    from hashsearch.search.by_phash import as_table

    if turned and query.image_ids:
        raise click.UsageError("--turned turns the picture itself: give IMAGE instead of --id")
    example = query.single("search phash")
    searcher = open_phash_searcher(query.settings)
    filters = query.filters(searcher.index)
    if isinstance(example, str):
        by_id, within_radius_of = searcher.by_id, searcher.within_radius_of
        hits = (
            by_id(example, query.k, filters=filters)
            if radius is None
            else within_radius_of(example, radius, filters=filters)
        )
    elif radius is None:
        hits = searcher.by_image(example, query.k, turned=turned, filters=filters)
    else:
        hits = searcher.within_radius(example, radius, turned=turned, filters=filters)
    _print_hits(hits, as_table, as_json, searcher.index, filters)


@search.command()
@query_options
@click.option("--vocabulary", required=True, type=FILE, help="Vocabulary that the index was made with.")
@click.option("--matched", default=50, show_default=True, help="Images read again and matched.")
@click.option("--turned", is_flag=True, help="Also find IMAGE mirrored.")
@as_json
def sift(
    query: SearchQuery,
    vocabulary: Path,
    matched: int,
    turned: bool,
    as_json: bool,
) -> None:
    """Search by keypoints.

    Finds images that show the same thing or a part of it, also from another angle.
    """
    from hashsearch.descriptors.words import Vocabulary
    from hashsearch.search.by_keypoints import as_table

    words, example = Vocabulary.load(vocabulary), query.single("search sift")
    searcher = open_keypoint_searcher(query.settings, words)
    filters = query.filters(searcher.index)
    if isinstance(example, str):
        hits = searcher.by_id(example, query.k, candidates=matched, turned=turned, filters=filters)
    else:
        hits = searcher.by_image(example, query.k, candidates=matched, turned=turned, filters=filters)
    _print_hits(hits, as_table, as_json, searcher.index, filters)


def _search_each(query: SearchQuery, options: SearchOptions) -> Iterator[tuple[str, list[Hit] | HashsearchError]]:
    """The hits of each image or id, in order, or its error."""
    from hashsearch.embedders.bulk import embed_sources

    searcher = open_searcher(query.settings)
    searcher.check_filters(options)
    if note := searcher.filter_checks.note(options.filters):
        notify(note)
    yield from zip(query.image_ids, searcher.search_many(query.image_ids, options))
    sources = list(dict.fromkeys(map(str, query.images)))
    for batch in embed_sources(searcher.encoder.embedder, sources, query.settings.image_reader):
        answers: dict[str, list[Hit] | HashsearchError] = dict(batch.errors)
        answers |= zip(batch.sources, searcher.search_many(batch.vectors, options))
        yield from ((source, answers[source]) for source in sources if source in answers)


def _print_each(answers: Iterator[tuple[str, list[Hit] | HashsearchError]], as_json: bool) -> int:
    """Print each answer as soon as it is known, as a JSON line or a table; returns the exit code."""
    from hashsearch.search.searcher import as_table

    failed = 0
    for query, answer in answers:
        if isinstance(answer, HashsearchError):
            failed += 1
            line: dict[str, Any] = {"query": query, "error": {"code": answer.code, "message": str(answer)}}
            lines = f"{answer.code}: {answer}"
        else:
            line, lines = {"query": query, "hits": [hit.as_dict() for hit in answer]}, as_table(answer)
        click.echo(json.dumps(line) if as_json else f"{query}:\n{lines}\n")
    return EXIT_REJECTS if failed else 0
