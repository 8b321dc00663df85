"""The page: one HTML file that needs nothing else, with style, charts and thumbnails inside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.evaluation.data.distortions import Distortion
from hashsearch.evaluation.report import curves, maps, robustness, summary, tables
from hashsearch.evaluation.report.comparing import SectionComparison
from hashsearch.evaluation.report.examples import examples, failures
from hashsearch.evaluation.report.sections import Result, Section
from hashsearch.reporting import svg
from hashsearch.reporting.album import Album
from hashsearch.reporting.scatter import largest_classes
from hashsearch.reporting.style import page_style
from hashsearch.reporting.words import counted

MAX_BYTES = 10_000_000
_BUDGETS = (5_000_000, 2_500_000, 0)  # bytes for thumbnails: the first that fits
_LINES = 7  # methods drawn as lines
_ROWS = 5  # methods side by side in an example
_MAPS = 2  # methods mapped
_TEMPLATES = Path(__file__).parent / "templates"

KINDS = {
    "exact": "exact cosine",
    "codes": "binary codes",
    "fusion": "fusion",
    "classes": "learned classes",
    "hash": "perceptual hash",
    "local": "local features",
    "histogram": "colour histogram",
}


def write_page(standings: Sequence[SectionComparison], about: Mapping[str, Any], pictures: bool = True) -> str:
    """HTML below 10 MB, with fewer thumbnails where it would be more.

    `about` has `command`, how the report was made, and `at`, when.
    """
    budgets = _BUDGETS if pictures else (0,)
    page = ""
    for budget in budgets:
        page = _render(standings, about, budget)
        if len(page.encode()) < MAX_BYTES:
            break
    return page


def _distorted(image: NDArray[np.uint8], entry: Mapping[str, Any]) -> NDArray[np.uint8]:
    """A picture's pixels as they were in a query, by its entry in `task.json`."""
    if not (made := entry.get("distortion")):
        return image
    return Distortion(made["name"], made["strength"], made.get("seed", 0)).apply(image)


def _render(standings: Sequence[SectionComparison], about: Mapping[str, Any], budget: int) -> str:
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["chart"] = Markup  # our own SVG, which escapes what it is given
    environment.globals["marker"] = partial(_legend_mark)
    each = budget // max(len(standings), 1)
    methods = tables.methods_of(standings)
    return environment.get_template("page.html").render(
        about=about,
        style=Markup(page_style(pictures=True)),
        script=Markup((_TEMPLATES / "sort.js").read_text()),
        title=_title(standings, methods),
        lines=summary.summarise_all(standings),
        overview=tables.overview(standings),
        kinds=_kinds_shown(standings),
        sections=[_view(at, standing, each, budget > 0) for at, standing in enumerate(standings, 1)],
        settings=list(_settings(standings)),
        machines=list(_distinct(standings, "machine")),
        versions=list(_distinct(standings, "versions")),
        seeds=sorted({str(one.content.get("seed")) for one in _results(standings)}),
    )


def _title(standings: Sequence[SectionComparison], methods: Sequence[str]) -> str:
    data = {standing.section.data for standing in standings}
    return f"{counted(len(methods), 'method')} compared on {counted(len(data), 'data set')}"


def _kinds_shown(standings: Sequence[SectionComparison]) -> dict[str, str]:
    present = {result.kind for result in _results(standings)}
    return {kind: name for kind, name in KINDS.items() if kind in present}


def _legend_mark(kind: str) -> str:
    return svg.element("svg", svg.marker(kind, 8, 8, 5), viewBox="0 0 16 16", class_="key", aria_hidden="true")


def _legend_line(kind: str, dash: str | None) -> str:
    stroke = svg.element("path", d="M1 8H31", class_=f"line {svg.kind_class(kind)}", stroke_dasharray=dash)
    return svg.element(
        "svg", stroke + svg.marker(kind, 16, 8, 3), viewBox="0 0 32 16", class_="key long", aria_hidden="true"
    )


def _view(at: int, standing: SectionComparison, budget: int, pictures: bool) -> dict[str, Any]:
    """What the template shows of a section; parts that are not there are empty."""
    section = standing.section
    shown = curves.most_telling(section, standing.baseline, _LINES)
    album = Album(budget, develop=_distorted)
    return {
        "id": f"section-{at}",
        "section": section,
        "sizes": _sizes(section),
        "baseline": standing.baseline.method if standing.baseline else "",
        "lines": summary.summarise(standing),
        "figures": tables.figures(standing),
        "shown": shown,
        "hidden": len(section.working) - len(shown),
        "legend": _legend(shown),
        "precision_recall": curves.precision_recall(section, shown) if shown else "",
        "latency": curves.quality_against_latency(section, standing.baseline),
        "robustness": [(one.name, curves.robustness(one, shown)) for one in robustness.series_of(section)],
        "breaking": tables.breaking(standing),
        "confusion": _confusion(section),
        "maps": _maps(section),
        "similarities": _similarities(section),
        "thresholds": tables.thresholds(standing),
        "examples": examples(section, shown[:_ROWS], album) if pictures else [],
        "failures": failures(section, album) if pictures else {},
        "album": album,
        "unread": _unread(section),
    }


def _sizes(section: Section) -> str:
    sizes = section.task.get("sizes") or {"base": len(section.base), "queries": len(section.queries)}
    names = {"learn": "pictures to learn from", "base": "searched", "queries": "queries"}
    return ", ".join(f"{sizes[name]:,} {words}" for name, words in names.items() if sizes.get(name))


def _legend(shown: Sequence[Result]) -> list[tuple[str, str]]:
    lines = curves.dashes(shown)
    return [(result.method, _legend_line(result.kind, lines[result.method])) for result in shown]


def _confusion(section: Section) -> dict[str, Any] | None:
    """Of the best method that has one."""
    result = next((result for result in section.working if result.content.get("confusion")), None)
    if result is None:
        return None
    found = result.content["confusion"]
    return {"method": result.method, "chart": maps.confusion(found), "pairs": maps.confused(found)}


def _maps(section: Section) -> list[tuple[str, str]]:
    """Of the best methods with different maps: methods over the same vectors have the same one."""
    seen: set[str] = set()
    charts = []
    for result in section.working:
        found = result.content.get("map")
        if not found or not found.get("rows") or (key := json.dumps(found["pca"][:20])) in seen or len(seen) == _MAPS:
            continue
        seen.add(key)
        if len(largest_classes([section.base[row]["label"] for row in found["rows"]])) > 1:
            names = [name for name in maps.PROJECTIONS if found.get(name)]
            charts += [
                (f"{maps.PROJECTIONS[name]} of {result.features}", maps.landscape(section, result, name))
                for name in names
            ]
    return charts


def _similarities(section: Section) -> list[tuple[str, str]]:
    with_one = [result for result in section.working if result.content.get("histogram")]
    return [(result.method, maps.similarities(result)) for result in with_one]


def _unread(section: Section) -> list[tuple[str, str, str]]:
    """Pictures that failed for a method: picture, reason, methods; a picture that failed for all is told once."""
    found: dict[tuple[str, str], list[str]] = {}
    for result in section.working:
        for one in result.content.get("failures") or []:
            found.setdefault((str(one["picture"]), str(one["reason"])), []).append(result.method)
    everyone = len(section.working)
    return [
        (picture, reason, "all methods" if len(methods) == everyone else ", ".join(methods))
        for (picture, reason), methods in found.items()
    ]


def _results(standings: Sequence[SectionComparison]) -> Iterator[Result]:
    for standing in standings:
        yield from (*standing.section.working, *standing.section.failed)


def _settings(standings: Sequence[SectionComparison]) -> Iterator[tuple[str, str, str]]:
    """Method, kind and settings, once for each that differs."""
    seen = set()
    for result in _results(standings):
        told = json.dumps(result.content.get("settings") or {}, ensure_ascii=False)
        if (result.method, told) not in seen:
            seen.add((result.method, told))
            yield result.method, result.kind, told


def _distinct(standings: Sequence[SectionComparison], name: str) -> Iterator[dict[str, Any]]:
    """The different values of a part of the results, such as the machine; without its load, which always differs."""
    seen = []
    for result in _results(standings):
        value = {key: found for key, found in (result.content.get(name) or {}).items() if key != "load"}
        if value and value not in seen:
            seen.append(value)
            yield value
