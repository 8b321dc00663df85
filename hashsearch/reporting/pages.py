"""Pages that need no other file: a template's content inside the frame and style that all pages share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hashsearch.reporting.style import page_style
from hashsearch.reporting.words import counted

_TEMPLATES = Path(__file__).parent / "templates"


def render_page(template: Path, *, pictures: bool = False, style: str = "", **content: Any) -> str:
    """HTML of a template that extends `frame.html`; `pictures` and `style` add to its CSS.

    Values are escaped, but for SVG of the chart kit that passes through the filter `chart`.
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader([template.parent, _TEMPLATES]), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["chart"] = Markup
    environment.globals["counted"] = counted
    style = Markup(page_style(pictures) + style)
    return environment.get_template(template.name).render(style=style, **content)
