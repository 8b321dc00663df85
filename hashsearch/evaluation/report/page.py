"""The page: one HTML file that needs nothing else, with style, charts and thumbnails inside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.evaluation.data.distortions import Distortion
from hashsearch.evaluation.report import curves, maps
from hashsearch.evaluation.report.examples import examples, failures
from hashsearch.evaluation.report.model import ReportModel, SectionReport
from hashsearch.evaluation.report.sections import Result, Section
from hashsearch.images.sources import DEFAULT_READER, ImageReader
from hashsearch.reporting.album import Album
from hashsearch.reporting.pages import render_page
from hashsearch.reporting.scatter import largest_classes
from hashsearch.reporting.svg import key_line, key_mark

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


def write_page(report: ReportModel, pictures: bool = True, reader: ImageReader = DEFAULT_READER) -> str:
    """HTML below 10 MB, with fewer thumbnails where it would be more."""
    views = [_view(number, section) for number, section in enumerate(report.sections, 1)]
    page = ""
    for budget in _BUDGETS if pictures else (0,):
        albums = [Album(budget // len(views), develop=_distorted, reader=reader) for _ in views]
        shown = [
            view | _pictures(view["section"], view["shown"], album, budget > 0) for view, album in zip(views, albums)
        ]
        page = _render(report, shown)
        if len(page.encode()) < MAX_BYTES:
            break
    return page


def _render(report: ReportModel, sections: Sequence[dict[str, Any]]) -> str:
    present = {result.kind for result in report.results}
    return render_page(
        _TEMPLATES / "page.html",
        pictures=True,
        script=(_TEMPLATES / "sort.js").read_text(encoding="utf-8"),
        about=report.about,
        title=report.title,
        summary=report.summary,
        overview=report.overview,
        kinds={kind: name for kind, name in KINDS.items() if kind in present},
        marker=key_mark,
        sections=sections,
        settings=list(_settings(report.results)),
        machines=list(_distinct(report.results, "machine")),
        versions=list(_distinct(report.results, "versions")),
        seeds=sorted({str(result.content.get("seed")) for result in report.results}),
    )


def _view(number: int, report: SectionReport) -> dict[str, Any]:
    """The template's values of a section besides thumbnails; parts without results are empty."""
    section = report.section
    shown = curves.most_telling(section, report.comparison.baseline, _LINES)
    return {
        "id": f"section-{number}",
        "report": report,
        "section": section,
        "sizes": _sizes(section),
        "shown": shown,
        "hidden": len(section.working) - len(shown),
        "legend": _legend(shown),
        "precision_recall": curves.precision_recall(section, shown) if shown else "",
        "latency": curves.quality_against_latency(section, report.comparison.baseline),
        "robustness": [curves.robustness(series, shown) for series in report.comparison.distortions],
        "confusion": _confusion(section),
        "maps": _maps(section),
        "similarities": _similarities(section),
        "unread": _unread(section),
    }


def _pictures(section: Section, shown: Sequence[Result], album: Album, wanted: bool) -> dict[str, Any]:
    """A section's thumbnails, as many as the album has room for."""
    return {
        "examples": examples(section, shown[:_ROWS], album) if wanted else [],
        "failures": failures(section, album) if wanted else {},
        "album": album,
    }


def _distorted(image: NDArray[np.uint8], entry: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The pixels of a query's image, distorted as its entry in `task.json` says."""
    if not (distortion := entry.get("distortion")):
        return image
    return Distortion(distortion["name"], distortion["strength"], distortion.get("seed", 0)).apply(image)


def _sizes(section: Section) -> str:
    sizes = section.task.get("sizes") or {"base": len(section.base), "queries": len(section.queries)}
    names = {"learn": "images to learn from", "base": "images searched", "queries": "queries"}
    return ", ".join(f"{sizes[name]:,} {words}" for name, words in names.items() if sizes.get(name))


def _legend(shown: Sequence[Result]) -> list[tuple[str, str]]:
    lines = curves.dashes(shown)
    return [(result.method, key_line(result.kind, lines[result.method])) for result in shown]


def _confusion(section: Section) -> dict[str, Any] | None:
    """Of the best method that has one."""
    result = next((result for result in section.working if result.content.get("confusion")), None)
    if result is None:
        return None
    matrix = result.content["confusion"]
    return {"method": result.method, "chart": maps.confusion(matrix), "pairs": maps.confused(matrix)}


def _maps(section: Section) -> list[tuple[str, str]]:
    """Of the best methods with different maps: methods over the same vectors have the same one."""
    drawn: set[str] = set()
    charts = []
    for result in section.working:
        points = result.content.get("map")
        if not points or not points.get("rows") or len(drawn) == _MAPS:
            continue
        if (key := json.dumps(points["pca"][:20])) in drawn:
            continue
        drawn.add(key)
        if len(largest_classes(section.base[row]["label"] for row in points["rows"])) > 1:
            charts += [
                (f"{title} of {result.features}", maps.landscape(section, result, name))
                for name, title in maps.PROJECTIONS.items()
                if points.get(name)
            ]
    return charts


def _similarities(section: Section) -> list[tuple[str, str]]:
    with_histogram = [result for result in section.working if result.content.get("histogram")]
    return [(result.method, maps.similarities(result)) for result in with_histogram]


def _unread(section: Section) -> list[tuple[str, str, str]]:
    """Images that failed for a method: image, reason and methods, each image and reason once."""
    methods: dict[tuple[str, str], list[str]] = {}
    for result in section.working:
        for failure in result.content.get("failures") or []:
            methods.setdefault((str(failure["picture"]), str(failure["reason"])), []).append(result.method)
    everyone = len(section.working)
    return [
        (picture, reason, "all methods" if len(names) == everyone else ", ".join(names))
        for (picture, reason), names in methods.items()
    ]


def _settings(results: Sequence[Result]) -> Iterator[tuple[str, str, str]]:
    """Method, kind and settings, once for each that differs."""
    known = set()
    for result in results:
        settings = json.dumps(result.content.get("settings") or {}, ensure_ascii=False)
        if (result.method, settings) not in known:
            known.add((result.method, settings))
            yield result.method, result.kind, settings


def _distinct(results: Sequence[Result], name: str) -> Iterator[dict[str, Any]]:
    """The different values of a part of the results, such as the machine; without its load, which always differs."""
    known = []
    for result in results:
        value = {key: entry for key, entry in (result.content.get(name) or {}).items() if key != "load"}
        if value and value not in known:
            known.append(value)
            yield value
