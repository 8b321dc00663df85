"""Plots of result files as SVG, readable when small and without colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.ann.curves import FAMILIES, Board, Cost, Curve, nines, p50, p95, recall_of
from hashsearch.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colour-blind safe palette: a colour per family; markers and dashes for its methods.
_COLOURS = {"ours": "#0072B2", "elastic": "#D55E00", "painless": "#CC79A7", "libraries": "#555555"}
_MARKERS = "osD^vP*X"
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
_TICKS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9998)
_GROWTH_RECALL = 0.99


def draw_all(boards: Sequence[Board], folder: Path) -> dict[str, list[str]]:
    """Draw all plots into the folder; returns their names by data set, with those of all data sets under ''."""
    names: dict[str, list[str]] = {}
    for board in boards:
        drawings: dict[str, Callable[[Figure], None]] = {
            f"{board.name}-p50.svg": partial(_draw_recall, board=board, cost=p50, name="p50"),
            f"{board.name}-p95.svg": partial(_draw_recall, board=board, cost=p95, name="p95"),
            f"{board.name}-build.svg": partial(_draw_build, board=board),
            f"{board.name}-bytes.svg": partial(_draw_bytes, board=board),
        }
        for name, draw in drawings.items():
            _save(folder / name, draw)
        names[board.name] = list(drawings)
    for dims in sorted({board.data["dims"] for board in boards}):
        grown = [board for board in boards if board.data["dims"] == dims]
        if len(grown) > 1:
            _save(folder / f"{dims}-growth.svg", partial(_draw_growth, boards=grown))
            names.setdefault("", []).append(f"{dims}-growth.svg")
    return names


def _save(path: Path, draw: Callable[[Figure], None]) -> None:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(f"plots need matplotlib: pip install 'hashsearch[benchmarks]' ({error})") from error
    # No date and no random ids, so that equal results give equal files. Text as text: a quarter of the size.
    style: Any = {"svg.hashsalt": path.name, "svg.fonttype": "none", "font.size": 10, "axes.axisbelow": True}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(9.0, 5.8), layout="constrained")
        draw(figure)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _style(curve: Curve, curves: Sequence[Curve]) -> dict[str, Any]:
    """Colour by family, marker and dashes by position in the family."""
    place = [other.method for other in curves if other.family == curve.family].index(curve.method)
    return {
        "color": _COLOURS[curve.family],
        "marker": _MARKERS[place % len(_MARKERS)],
        "linestyle": _DASHES[place % len(_DASHES)],
        "linewidth": 2.0 if curve.family == "ours" else 1.3,
        "markersize": 5,
        "markerfacecolor": _COLOURS[curve.family] if place % 2 == 0 else "white",
        "zorder": 3 if curve.family == "ours" else 2,
    }


def _title(board: Board) -> str:
    return f"{board.data['n']:,} vectors of {board.data['dims']} dimensions"


def _draw_recall(figure: Figure, board: Board, cost: Cost, name: str) -> None:
    axes = figure.subplots()
    finest = min(curve.finest for curve in board.curves)
    for curve in board.curves:
        front = curve.pareto(cost)
        heights = [nines(recall_of(result), finest) for result in front]
        axes.plot(list(map(cost, front)), heights, label=curve.method, **_style(curve, board.curves))
    _recall_axis(axes, board, finest)
    _log_axis(axes, "x")
    axes.set(title=_title(board), xlabel=f"{name} latency of a query, one client (ms)", ylabel="recall@10")
    _legend(figure, axes, board.curves)


def _recall_axis(axes: Axes, board: Board, finest: float) -> None:
    """Recall by nines, with a tick at the top for no miss at all."""
    least = min(recall_of(result) for result in board.results)
    below = max((tick for tick in _TICKS if tick <= least), default=0.0)
    ticks = [tick for tick in _TICKS if tick >= below and 1 - tick > 1.5 * finest]
    axes.set_yticks([nines(tick, finest) for tick in (*ticks, 1)], [f"{tick:g}".lstrip("0") for tick in (*ticks, 1)])
    axes.set_ylim(nines(below, finest) - 0.05, nines(1, finest) + 0.1)
    axes.grid(alpha=0.3)


def _log_axis(axes: Axes, which: str) -> None:
    """Logarithmic, with plain numbers at 1, 2, 5, 10, ..."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set_xscale("log") if which == "x" else axes.set_yscale("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)


def _legend(figure: Figure, axes: Axes, curves: Sequence[Curve]) -> None:
    """A legend beside the plot, grouped by family."""
    from matplotlib.lines import Line2D

    lines = {line.get_label(): line for line in axes.get_lines()}
    handles: list[Line2D] = []
    for family, label in FAMILIES.items():
        members = [curve.method for curve in curves if curve.family == family and curve.method in lines]
        if members:
            handles += [Line2D([], [], linestyle="none", label=label), *(lines[method] for method in members)]
    style: Any = {"frameon": False, "fontsize": 9, "handlelength": 3, "labelspacing": 0.35}
    legend = figure.legend(handles=handles, loc="outside right upper", **style)
    for text in legend.get_texts():
        if text.get_text() in FAMILIES.values():
            text.set_fontweight("bold")


def _draw_build(figure: Figure, board: Board) -> None:
    """Bars of the build times, fastest on top."""
    axes = figure.subplots()
    curves = sorted(board.curves, key=lambda curve: -float(curve.build["seconds"]))
    seconds = [float(curve.build["seconds"]) for curve in curves]
    bars = axes.barh([curve.method for curve in curves], seconds, color=[_COLOURS[curve.family] for curve in curves])
    axes.bar_label(bars, [f"{value:,.0f} s" for value in seconds], padding=3)
    axes.margins(x=0.12)
    axes.grid(alpha=0.3, axis="x")
    axes.set(title=_title(board), xlabel="time to index and merge (s)")
    _families(figure, curves)


def _draw_bytes(figure: Figure, board: Board) -> None:
    """For each method a filled marker for the bytes in memory and an open one for the bytes on disk."""
    axes = figure.subplots()
    curves = sorted(board.curves, key=lambda curve: -float(curve.sizes["memory_bytes"]))
    for place, curve in enumerate(curves):
        memory, disk = (curve.sizes[name] / board.data["n"] for name in ("memory_bytes", "disk_bytes"))
        colour = _COLOURS[curve.family]
        axes.plot([memory, disk], [place, place], color=colour, linewidth=1)
        axes.plot([memory], [place], "o", color=colour)
        axes.plot([disk], [place], "s", color=colour, markerfacecolor="white")
        axes.annotate(
            f"{memory:,.0f}", (memory, place), (-6, 0), textcoords="offset points", ha="right", va="center", fontsize=8
        )
    axes.set_yticks(range(len(curves)), [curve.method for curve in curves])
    axes.margins(x=0.08)
    _log_axis(axes, "x")
    axes.set(title=_title(board), xlabel="bytes per image: filled, in memory for candidate search; open, on disk")
    _families(figure, curves)


def _families(figure: Figure, curves: Sequence[Curve]) -> None:
    from matplotlib.patches import Patch

    present = [family for family in FAMILIES if family in {curve.family for curve in curves}]
    handles = [Patch(color=_COLOURS[family], label=FAMILIES[family]) for family in present]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)


def _draw_growth(figure: Figure, boards: Sequence[Board]) -> None:
    """Latency at recall .99 against the number of vectors."""
    axes = figure.subplots()
    every = list({curve.method: curve for board in boards for curve in board.curves}.values())
    drawn = []
    for curve in every:
        points = [
            (board.data["n"], at.cost)
            for board in boards
            for other in board.curves
            if other.method == curve.method and (at := other.at(_GROWTH_RECALL))
        ]
        if points:
            axes.plot(*zip(*points, strict=True), label=curve.method, **_style(curve, every))
            drawn.append(curve)
    _log_axis(axes, "x")
    _log_axis(axes, "y")
    sizes = [board.data["n"] for board in boards]
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set(title=f"{boards[0].data['dims']} dimensions, recall@10 of {_GROWTH_RECALL:g}", xlabel="vectors")
    axes.set_ylabel("p50 latency of a query, one client (ms)")
    _legend(figure, axes, drawn)
