"""The style of every page and chart: `tokens.css` with its colours and fonts, and what is built on them."""

from __future__ import annotations

from pathlib import Path

_TEMPLATES = Path(__file__).resolve().parent / "templates"

TOKENS = _TEMPLATES / "tokens.css"


def page_style(pictures: bool = False) -> str:
    """CSS of a report's page and its charts; with `pictures` also of thumbnails."""
    return _joined("tokens", "page", "charts", *(["pictures"] if pictures else []))


def chart_style() -> str:
    """CSS of a chart that is a file of its own."""
    return _joined("tokens", "charts")


def _joined(*names: str) -> str:
    return "\n".join((_TEMPLATES / f"{name}.css").read_text(encoding="utf-8") for name in names)
