"""Result files as Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from benchmarks.ann.curves import FAMILIES, At, Board, Curve, p50, p95, recall_of, seconds_a_query
from hashsearch.evaluation.compare.results import Result

TARGETS = (0.99, 0.998, 0.999)
CLIENTS = (1, 4, 16)


def markdown(boards: Sequence[Board], pictures: dict[str, list[str]]) -> str:
    """All tables, with the pictures of each data set, by its name, and those of all under the name ''."""
    lines = ["# Recall and cost, side by side", "", "As `python -m benchmarks.ann.report` printed it.", ""]
    lines += [f"![{name}]({name})" for name in pictures.get("", ())] + [""]
    for board in boards:
        lines += [f"## {board.data['n']:,} x {board.data['dims']}", "", *_about(board), ""]
        lines += [f"![{name}]({name})" for name in pictures.get(board.name, ())] + [""]
        lines += [*at_recalls(board), "", *_settings(board), ""]
    return "\n".join(lines)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table; all columns but the first two are aligned right."""
    aligned = ["---", *("---:" if place > 1 else "---" for place in range(1, len(header)))]
    return [f"| {' | '.join(cells)} |" for cells in (header, aligned, *rows)]


def at_recalls(board: Board) -> list[str]:
    """A row for each method, the quickest at the first target first."""
    header = ["method", "kind", *(f"p50 ms at {_share(target)}" for target in TARGETS)]
    header += [f"p95 ms at {_share(TARGETS[0])}", f"queries/s of 16 at {_share(TARGETS[0])}"]
    header += ["highest recall", "build s", "disk B/image", "memory B/image"]

    def quickest(curve: Curve) -> tuple[float, float]:
        at = curve.at(TARGETS[0])
        return (at.cost if at else float("inf"), -max(map(recall_of, curve.results)))

    return table(header, (_method_row(board, curve) for curve in sorted(board.curves, key=quickest)))


def _method_row(board: Board, curve: Curve) -> list[str]:
    cells = [curve.method, FAMILIES[curve.family], *(_cost(curve.at(target)) for target in TARGETS)]
    cells += [_cost(curve.at(TARGETS[0], p95)), _rate(curve.at(TARGETS[0], seconds_a_query(16)))]
    return [*cells, f"{max(map(recall_of, curve.results)):.4f}", *_built(board, curve)]


def _built(board: Board, curve: Curve) -> list[str]:
    sizes = (curve.sizes["disk_bytes"], curve.sizes["memory_bytes"])
    return [f"{curve.build['seconds']:,.0f}", *(f"{size / board.data['n']:,.0f}" for size in sizes)]


def _cost(at: At | None, written: Callable[[float], str] = lambda cost: f"{cost:.2f}", sign: str = "&le; ") -> str:
    return "-" if at is None or at.cost == float("inf") else (sign if at.bound else "") + written(at.cost)


def _rate(at: At | None) -> str:
    return _cost(at, lambda cost: f"{1 / cost:,.0f}", "&ge; ")


def _settings(board: Board) -> Iterator[str]:
    """Every setting measured; bold are those that none of the same method beats in both recall and p50."""
    yield "<details><summary>every setting (bold: none of the same method beats it in recall and p50)</summary>"
    yield ""
    header = ["method", "setting", "recall@10", "p50 ms", "p95 ms", *(f"queries/s, {count}" for count in CLIENTS)]
    header += ["first after a cold start, ms", "p50 of the first 50, ms"]
    rows = []
    for curve in board.curves:
        front = [id(result) for result in curve.pareto()]
        for result in sorted(curve.results, key=lambda each: (recall_of(each), p50(each))):
            rows.append(_setting_row(result, bold=id(result) in front))
    yield from table(header, rows)
    yield ""
    yield "</details>"


def _setting_row(result: Result, bold: bool) -> list[str]:
    setting = json.dumps(result["setting"])[1:-1].replace('"', "") or "-"
    recall = f"{recall_of(result):.4f}"
    rates = [result["throughput"].get(str(count)) for count in CLIENTS]
    cold = result["cold_ms"]
    return [
        result["method"],
        setting,
        f"**{recall}**" if bold else recall,
        f"{p50(result):.2f}",
        f"{p95(result):.2f}",
        *(f"{rate['qps']:,.0f}" if rate else "-" for rate in rates),
        *((f"{cold['first']:.0f}", f"{cold['p50_of_first_50']:.1f}") if cold else ("-", "-")),
    ]


def _about(board: Board) -> Iterator[str]:
    """Where the vectors come from, how near the neighbours are, what this ran on."""
    data, results = board.data, board.results
    mixed = ", the others mixtures of real neighbours" if data["real"] < data["n"] else ""
    yield f"{data['vectors']}. {data['real']:,} of real photos{mixed}; {data['queries']:,} held-out photos are the"
    yield f"queries; seed {data['seed']}, fingerprint {data['fingerprint']}. Cosines of the queries' neighbours:"
    yield ""
    cosines = {name: told for name, told in data["cosines"].items() if name != "quantiles"}
    ranks = list(next(iter(cosines.values())))
    levels = [f"{rank}, {level:.0%}" for rank in ranks for level in data["cosines"]["quantiles"]]
    rows = [[name, "", *(f"{x:.3f}" for rank in ranks for x in told[rank])] for name, told in cosines.items()]
    yield from table(["vectors", "", *levels], rows)
    yield ""
    yield f"{_machine(results)}; {_versions(results)}; {_dates(results)}."


def _machine(results: Sequence[Result]) -> str:
    machines = {
        f"{told['cores']} cores ({told['cpu']}), {told['memory_gib']} GiB" for told in _each(results, "machine")
    }
    loads = [told["load"] for told in _each(results, "machine")]
    return f"{' and '.join(sorted(machines))}, load before each setting {min(loads)} to {max(loads)}"


def _versions(results: Sequence[Result]) -> str:
    found = {f"{name} {version}" for told in _each(results, "versions") for name, version in told.items()}
    return ", ".join(sorted(found))


def _dates(results: Sequence[Result]) -> str:
    days = sorted({str(result["date"])[:10] for result in results})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def _each(results: Sequence[Result], name: str) -> list[dict[str, Any]]:
    return [result[name] for result in results]


def _share(target: float) -> str:
    return f"{target:g}".lstrip("0")
