"""SVG as text: elements, paths, whole drawings, and the shapes and colours that tell kinds of methods apart.

Colours come from `tokens.css` by class (`kind-codes` sets `color`, shapes use `currentColor`), so that a drawing is
light or dark as the page around it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hashsearch.reporting.style import chart_style

Point = tuple[float, float]

DASHES = (None, "7 3", "2 3", "9 3 2 3", "4 2")  # lines that share a colour, or are printed without any


def element(tag: str, content: str = "", **attributes: object) -> str:
    """`<tag ...>content</tag>`: `class_` is class, other underscores are hyphens; escapes values, not the content."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def _short(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def text(x: float, y: float, content: str, **attributes: object) -> str:
    """A line of text, escaped."""
    return element("text", escape(content), x=float(x), y=float(y), **attributes)


def title(content: str) -> str:
    """A shape's tooltip, which screen readers read too."""
    return element("title", escape(content))


def drawing(width: float, height: float, content: str, label: str) -> str:
    """A drawing for a page; `label` says in words what it shows."""
    return element("svg", content, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label, class_="chart")


def drawing_file(width: float, height: float, content: str, label: str) -> str:
    """A drawing as a file of its own, with its style and background; `label` says in words what it shows."""
    style = element("style", escape(chart_style(), quote=False))
    background = element("rect", width=f"{width:g}", height=f"{height:g}", rx=8, fill="var(--sheet)")
    return element(
        "svg",
        style + background + content + "\n",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
        role="img",
        aria_label=label,
        class_="chart",
    )


def path(points: Sequence[Point]) -> str:
    """The `d` of a line through points."""
    return "M" + "L".join(f"{_short(float(x))} {_short(float(y))}" for x, y in points)


# Shapes beside colours, for eyes and printers that do not tell the colours apart: kind -> marker.
_MARKERS = {
    "codes": "circle",
    "exact": "square",
    "hash": "triangle",
    "local": "diamond",
    "classes": "cross",
    "fusion": "hourglass",
    "histogram": "bar",
}


def marker(kind: str, x: float, y: float, size: float = 5, note: str = "") -> str:
    """A point in the shape of its method's kind; `note` is its tooltip."""
    shape = _MARKERS.get(kind, "circle")
    look = {"class_": f"mark {kind_class(kind)}", "d": _outline(shape, x, y, size)}
    return element("path", title(note) if note else "", **look)


def _outline(shape: str, x: float, y: float, size: float) -> str:
    if shape == "circle":
        return (
            f"M{_short(x - size)} {_short(y)}a{size} {size} 0 1 0 {2 * size:g} 0a{size} {size} 0 1 0 {-2 * size:g} 0z"
        )
    outlines: dict[str, list[tuple[float, float]]] = {
        "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        "triangle": [(0, -1.15), (1.1, 0.85), (-1.1, 0.85)],
        "diamond": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
        "bar": [(-1.2, -0.45), (1.2, -0.45), (1.2, 0.45), (-1.2, 0.45)],
        "hourglass": [(-1, -1.15), (1, -1.15), (-1, 1.15), (1, 1.15)],
        "cross": _PLUS,
    }
    return path([(x + size * right, y + size * down) for right, down in outlines[shape]]) + "z"


_PLUS = [(-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4)]
_PLUS += [(-right, -down) for right, down in _PLUS]


def kind_class(kind: str) -> str:
    """The class that gives a kind its colour; a kind unknown to the page is grey."""
    return f"kind-{kind}" if kind in _MARKERS else "kind-other"


def key_mark(kind: str) -> str:
    """A kind's shape for a legend."""
    return element("svg", marker(kind, 8, 8, 5), viewBox="0 0 16 16", class_="key", aria_hidden="true")


def key_line(kind: str, dash: str | None) -> str:
    """A line as a chart draws it, for a legend."""
    line = element("path", d="M1 8H31", class_=f"line {kind_class(kind)}", stroke_dasharray=dash)
    return element("svg", line + marker(kind, 16, 8, 3), viewBox="0 0 32 16", class_="key long", aria_hidden="true")
