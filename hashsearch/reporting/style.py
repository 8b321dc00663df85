"""The look of every page that is a report."""

from __future__ import annotations

from pathlib import Path

STYLE = Path(__file__).parent / "templates" / "page.css"
