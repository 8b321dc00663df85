"""A folder of results -> a folder with the report in its four forms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from hashsearch.errors import ConfigError
from hashsearch.evaluation.report import formats
from hashsearch.evaluation.report.comparing import judge
from hashsearch.evaluation.report.model import report_model
from hashsearch.evaluation.report.page import write_page
from hashsearch.evaluation.report.sections import Section, read_sections
from hashsearch.files import atomic_files
from hashsearch.images.sources import DEFAULT_READER, ImageReader
from hashsearch.provenance import now


def write_report(
    results: Path,
    out: Path,
    *,
    baseline: str | None = None,
    pictures: bool = True,
    reader: ImageReader = DEFAULT_READER,
    command: str = "",
    progress: Callable[[list[Section]], Iterable[Section]] = list,
) -> list[Path]:
    """The files written to `out`: report.html, report.md, report.csv and report.json.

    `baseline` is the method that all others are compared with; a section without it takes its best exact method, else
    the first by name. `reader` reads the pictures. `progress` wraps the sections to report on them. ConfigError
    for results that cannot be read and for a baseline that no section has.
    """
    sections = read_sections(results)
    known = sorted({result.method for section in sections for result in section.working})
    if baseline is not None and baseline not in known:
        raise ConfigError(f"a baseline must be one of the methods with results, {', '.join(known)}, got '{baseline}'")
    comparisons = [judge(section, baseline) for section in progress(sections)]
    report = report_model(comparisons, {"command": command, "at": now(), "results": results.name})
    written = {
        "report.html": write_page(report, pictures, reader),
        "report.md": formats.markdown(report),
        "report.csv": formats.as_csv(report),
        "report.json": formats.as_json(report),
    }
    paths = [out / name for name in written]
    with atomic_files(paths, "w", encoding="utf-8", errors="backslashreplace", newline="") as files:
        for file, content in zip(files, written.values()):
            file.write(content)
    return paths
