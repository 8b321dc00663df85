"""Nights as a history holds them, for the tests of what reads them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

FIRST = datetime(2026, 3, 1, 2, 0, tzinfo=timezone.utc)


def night(day: int, recall: float = 0.98, *, images: int = 1000, p50: float = 10.0, **more: Any) -> dict[str, Any]:
    """What was measured `day` days after the first of March, give or take a hundredth of recall, a tenth of time."""
    figures = {
        "recall@10": {"value": recall, "low": recall - 0.01, "high": recall + 0.01},
        "p50 ms": {"value": p50, "low": 0.9 * p50, "high": 1.1 * p50},
        "images": {"value": images, "low": images, "high": images},
    }
    rest: dict[str, Any] = {
        "drift": None,
        "probes": None,
        "notes": [],
        "worse": [],
        "summary": "shop: nothing got worse",
    }
    at = (FIRST + timedelta(days=day)).isoformat()
    return {"at": at, "index": "shop", "figures": figures, "versions": {"encoder": "e1"}, **rest, **more}
