"""The history's page: well-formed, whole, and true to its nights."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from support.nights import night

from hashsearch.evaluation.live.history import History
from hashsearch.evaluation.live.timeline import draw, keep

DRIFT = {"mean_cosine": 0.99, "distance": 0.02, "noise": 0.01}
PROBES = {"gone": 0.1, "changed": 0.0, "same_hits": 0.8}


def plots(page: str) -> list[ElementTree.Element]:
    """The page's plots, parsed."""
    return [ElementTree.fromstring("<svg" + part.split("</svg>")[0] + "</svg>") for part in page.split("<svg")[1:]]


def test_every_night_has_its_point_and_every_plot_its_place() -> None:
    drawn = plots(draw([night(0), night(1, 0.97), night(2, drift=DRIFT, probes=PROBES)]))
    points = [len(plot.findall("circle")) for plot in drawn]
    assert points == [3, 3, 3, 2, 3]  # recall, time, images, drift with its noise, three of the probes
    titles = [point.findtext("title") for point in drawn[0].findall("circle")]
    assert titles[1] == "2026-03-02 recall@10 0.97 (0.96 to 0.98)"


def test_a_higher_value_stands_higher_and_within_the_plot() -> None:
    (recall, *_) = plots(draw([night(0, 0.8), night(1, 0.95), night(9, 0.9)]))
    across = [float(point.get("cx", 0)) for point in recall.findall("circle")]
    down = [float(point.get("cy", 0)) for point in recall.findall("circle")]
    assert down[1] < down[2] < down[0]
    assert all(0 < place < 220 for place in down)
    assert (across[1] - across[0]) * 8 - (across[2] - across[1]) < 1


def test_one_night_is_a_history_too() -> None:
    assert [len(plot.findall("circle")) for plot in plots(draw([night(0)]))] == [1, 1, 1]


def test_what_got_worse_stands_out() -> None:
    page = draw([night(0), night(1, worse=["recall@10 fell"], summary="shop: recall@10 fell (since 2026-03-01)")])
    assert '<div class="bad"><dt>Last night</dt><dd>shop: recall@10 fell (since 2026-03-01)</dd></div>' in page
    assert page.count('<tr class="bad">') == 1
    good = draw([night(0)])
    assert "<div><dt>Last night</dt><dd>shop: nothing got worse</dd></div>" in good
    assert 'class="bad"' not in good


def test_every_chart_says_in_words_what_it_shows() -> None:
    labels = [plot.get("aria-label") for plot in plots(draw([night(0), night(1, probes=PROBES)]))]
    assert labels == [
        "Recall and precision: recall@10",
        "Latency of a search by id, ms: p50 ms",
        "Images: images",
        "Probes: the searches of a week before, repeated: hits still found, probes deleted, embeddings changed",
    ]


def test_names_cannot_break_the_page() -> None:
    category = {"queries": 5, "precision@1": 1.0, "precision@10": 0.5}
    page = draw([night(0, notes=["<script>"], summary="<b>", by_category={"<i>&": category})])
    assert "<script>" not in page
    assert "<b>" not in page
    assert "&lt;i&gt;&amp;</th><td>5</td><td>1.000</td><td>0.500" in page


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    history = History(tmp_path, "shop")
    history.append(night(0), {})
    page = keep(history)
    assert page == tmp_path / "history.html"
    text = page.read_text(encoding="utf-8")
    assert "http" not in text
    assert "src=" not in text
    assert len(text) < 20_000
