"""Line charts have every point in its place, every line its name, and files that are whole by themselves."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from hashsearch.reporting.axes import fitted, tick_label
from hashsearch.reporting.lines import LineChart, LineSeries, line_chart, line_chart_file

SVG = "{http://www.w3.org/2000/svg}"
LOSS = LineSeries("training loss", [(1, 2.0), (2, 1.0), (3, 0.5)])
OTHER = LineSeries("validation <loss>", [(1, 2.2), (3, 1.1)])


def points(drawn: str) -> list[tuple[float, float]]:
    marks = ElementTree.fromstring(drawn).findall("circle")
    return [(float(mark.get("cx", 0)), float(mark.get("cy", 0))) for mark in marks]


def texts(drawn: str) -> list[str]:
    root = ElementTree.fromstring(drawn)
    return ["".join(element.itertext()) for element in root.iter() if element.tag.removeprefix(SVG) == "text"]


def test_a_line_has_a_mark_for_each_point_at_its_place() -> None:
    (x1, y1), (x2, y2), (x3, y3) = points(line_chart(LineChart("loss", [LOSS], y_low=0), 640, 300))
    assert 0 < x1 < x2 < x3 < 640
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert 0 < y1 < y2 < y3 < 300
    assert y2 - y1 == pytest.approx(2 * (y3 - y2), abs=0.4)  # from 2 to 1 is twice as far as from 1 to .5


def test_a_logarithmic_axis_gives_equal_factors_equal_lengths() -> None:
    (_, y1), (_, y2), (_, y3) = points(line_chart(LineChart("loss", [LOSS], y_log=True), 640, 300))
    assert y2 - y1 == pytest.approx(y3 - y2, abs=0.2)
    rates = LineSeries("rate", [(0.001, 1), (0.01, 2), (0.1, 3)])
    (x1, _), (x2, _), (x3, _) = points(line_chart(LineChart("rates", [rates], x_log=True), 640, 300))
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)


def test_every_line_carries_its_name_and_looks_different_without_colours() -> None:
    drawn = line_chart(LineChart("loss", [LOSS, OTHER], "epoch"))
    assert {"training loss", "validation <loss>", "epoch"} <= set(texts(drawn))
    lines = [path for path in ElementTree.fromstring(drawn).findall("path") if "line" in path.get("class", "").split()]
    assert len({(line.get("class"), line.get("stroke-dasharray")) for line in lines}) == 2
    assert len({line.get("stroke-dasharray") for line in lines}) == 2
    assert "loss: training loss, validation &lt;loss&gt;" in drawn


def test_whole_numbers_have_no_ticks_between_them() -> None:
    assert {"1", "2", "3"} <= set(texts(line_chart(LineChart("loss", [LOSS], y_low=0, y_high=10))))
    assert "1.5" not in texts(line_chart(LineChart("loss", [LOSS], y_low=0, y_high=10)))


def test_a_band_spans_the_interval_of_each_point_and_notes_are_tooltips() -> None:
    series = LineSeries("recall", [(0, 0.5), (1, 0.6)], [(0.4, 0.7), (0.5, 0.8)], ["first", "second"])
    root = ElementTree.fromstring(line_chart(LineChart("recall", [series]), 640, 300))
    (band,) = [path for path in root.findall("path") if "band" in path.get("class", "")]
    assert band.get("d", "").count("L") == 3  # four corners
    assert [mark.findtext("title") for mark in root.findall("circle")] == ["first", "second"]


def test_a_chart_without_points_is_left_out() -> None:
    empty = LineChart("nothing", [LineSeries("nothing", [])])
    assert line_chart(empty) == ""
    assert "nothing" not in texts(line_chart_file([LineChart("loss", [LOSS]), empty], "run"))


def test_a_single_point_or_a_constant_can_be_drawn() -> None:
    assert len(points(line_chart(LineChart("one", [LineSeries("one", [(5, 0.0)])])))) == 1
    assert len(points(line_chart(LineChart("flat", [LineSeries("flat", [(1, 7.0), (2, 7.0)])])))) == 2


def test_a_file_has_all_charts_with_titles_and_its_own_style() -> None:
    charts = [LineChart("losses", [LOSS, OTHER]), LineChart("accuracy", [LineSeries("top 1", [(1, 0.4), (2, 0.6)])])]
    drawn = line_chart_file(charts, "training of a <network>")
    root = ElementTree.fromstring(drawn)
    assert root.get("aria-label") == "training of a <network>"
    assert {"losses", "accuracy", "training loss", "top 1"} <= set(texts(drawn))
    assert len(list(root.iter(f"{SVG}circle"))) == 7
    style = root.findtext(f"{SVG}style", "")
    assert "prefers-color-scheme: dark" in style
    assert ".colour-0" in style
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    ("number", "label"),
    [(0, "0"), (0.25, ".25"), (-0.5, "-.5"), (0.0001, ".0001"), (1.25, "1.25"), (20, "20"), (1000, "1,000")],
)
def test_ticks_have_few_characters(number: float, label: str) -> None:
    assert tick_label(number) == label


def test_a_fitted_scale_ends_at_round_numbers_around_the_values() -> None:
    scale = fitted([0.87, 0.98], 100, 0)
    assert (scale.low, scale.high) == pytest.approx((0.85, 1.0))
    flat = fitted([3.0, 3.0], 100, 0)
    assert flat.low < 3 < flat.high
