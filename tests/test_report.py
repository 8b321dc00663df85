"""The report, from result files whose figures were worked by hand."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import textwrap
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.browser import Browser, find_chromium
from support.comparison import TaskFiles

from hashsearch.cli.jobs.compare_baselines import main
from hashsearch.errors import ConfigError
from hashsearch.evaluation.compare.plan import read_plan
from hashsearch.evaluation.report.comparing import SectionComparison, judge
from hashsearch.evaluation.report.curves import most_telling
from hashsearch.evaluation.report.examples import different_queries
from hashsearch.evaluation.report.page import KINDS
from hashsearch.evaluation.report.robustness import breaking_point, series_of
from hashsearch.evaluation.report.sections import read_sections
from hashsearch.evaluation.report.summary import summarise, summarise_all
from hashsearch.evaluation.report.writing import write_report
from hashsearch.images.limits import Limits
from hashsearch.images.sources import ImageReader
from hashsearch.reporting.axes import Scale, spread
from hashsearch.reporting.svg import key_mark
from hashsearch.reporting.tables import escaped_markdown, safe_cell
from hashsearch.reporting.words import amount, chance, gain, listed, share

EMPTY_ELEMENTS = ("meta", "img", "br")
MAP = {"rows": list(range(8)), "pca": [[at, at % 3] for at in range(8)], "tsne": [[at % 2, at] for at in range(8)]}

CATS, DOGS = [0, 1, 2, 3], [4, 5, 6, 7]
LABELS = ["cat"] * 4 + ["dog"] * 4
QUERIES = ["cat", "dog"] * 10
RIGHT = [CATS, DOGS] * 10
WRONG = [DOGS, CATS] * 10


def pets(results: Path, data: str = "pets") -> TaskFiles:
    """20 queries; one method right at all of them, one at 19 of them, one at none, and one that failed."""
    files = TaskFiles(results, data, "same_class", LABELS, QUERIES)
    files.method("all right", RIGHT, "exact", latency_ms={"p50": 8.0, "p95": 9.0, "p99": 10.0})
    files.method("one wrong", [*RIGHT[:-1], CATS], "codes", latency_ms={"p50": 1.0, "p95": 2.0, "p99": 3.0})
    files.method("all wrong", WRONG, "hash")
    files.failed("broken", "k-means needs 100 descriptors, got 3")
    return files


def compared(results: Path, baseline: str | None = None) -> SectionComparison:
    (section,) = read_sections(results)
    return judge(section, baseline)


def statements(found: SectionComparison) -> dict[str, str]:
    return {line.about: line.says for line in summarise(found)}


class Reader(HTMLParser):
    """What a page refers to, and whether its elements are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.scripts = 0
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.references += [str(value) for name, value in attributes if name in ("src", "href", "xlink:href", "data")]
        if tag not in EMPTY_ELEMENTS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in EMPTY_ELEMENTS:
            assert self.open.pop() == tag


class TestJudging:
    def test_the_best_of_a_column_and_those_not_significantly_worse_are_marked(self, tmp_path: Path) -> None:
        pets(tmp_path)
        found = compared(tmp_path)
        assert [result.method for result in found.section.working] == ["all right", "one wrong", "all wrong"]
        marks = {result.method: found.value(result, "precision@1").mark for result in found.section.working}
        # one query of twenty differs: both signs of it are as extreme, so p is 1
        assert marks == {"all right": "best", "one wrong": "same", "all wrong": ""}

    def test_all_methods_with_the_highest_value_are_best(self, tmp_path: Path) -> None:
        pets(tmp_path).method("as right", RIGHT, "classes")
        found = compared(tmp_path)
        assert [one.method for one in found.section.working if found.value(one, "mrr").mark == "best"] == [
            "all right",
            "as right",
        ]
        assert statements(found)["Best"].endswith("It is not significantly better than as right and one wrong.")

    def test_costs_have_a_winner_too(self, tmp_path: Path) -> None:
        pets(tmp_path)
        found = compared(tmp_path)
        marks = {result.method: found.value(result, "p50").mark for result in found.section.working}
        assert marks == {"all right": "", "one wrong": "best", "all wrong": ""}

    def test_methods_are_tested_against_the_best_exact_one(self, tmp_path: Path) -> None:
        pets(tmp_path)
        found = compared(tmp_path)
        assert found.baseline is not None
        assert found.baseline.method == "all right"
        assert found.against["all wrong"].difference == -1
        assert found.against["all wrong"].significant
        assert found.against["one wrong"].difference == pytest.approx(-0.05)
        assert not found.against["one wrong"].significant

    def test_p_values_of_many_are_corrected_by_holm(self, tmp_path: Path) -> None:
        pets(tmp_path)
        p_values = {name: found.p_value for name, found in compared(tmp_path).against.items()}
        # of 2,000 random signs of 20 equal differences hardly any is as extreme; times two, for there are two tests
        assert p_values["all wrong"] == pytest.approx(2 / 2001, abs=2 / 2001)
        assert p_values["one wrong"] == 1

    def test_another_baseline_can_be_named(self, tmp_path: Path) -> None:
        pets(tmp_path)
        assert compared(tmp_path, "all wrong").against["all right"].difference == 1

    def test_a_baseline_that_no_task_has_is_refused(self, tmp_path: Path) -> None:
        pets(tmp_path / "results")
        with pytest.raises(
            ConfigError, match="one of the methods with results, all right, all wrong, one wrong, got 'x'"
        ):
            write_report(tmp_path / "results", tmp_path / "out", baseline="x")


class TestSummary:
    def test_the_summary_names_the_best_and_those_not_significantly_worse(self, tmp_path: Path) -> None:
        pets(tmp_path)
        assert statements(compared(tmp_path))["Best"] == (
            "all right: mAP@10 1.000 (1.000-1.000), first hit right for 100.0% of queries. "
            "It is not significantly better than one wrong."
        )

    def test_the_summary_counts_methods_better_and_worse_than_the_baseline(self, tmp_path: Path) -> None:
        pets(tmp_path)
        says = statements(compared(tmp_path, "all wrong"))["Against all wrong (mAP@10 .000)"]
        assert says.startswith(
            "2 methods are significantly better (all right and one wrong), 0 worse, 0 not significantly different."
        )

    def test_the_summary_names_the_fastest_of_those_near_the_best(self, tmp_path: Path) -> None:
        files = pets(tmp_path)
        assert statements(compared(tmp_path))["Fastest within .01 of the best"].startswith("all right, median 8 ms")
        files.method("as good", RIGHT, "codes", latency_ms={"p50": 0.5})
        says = statements(compared(tmp_path))["Fastest within .01 of the best"]
        assert says == "as good, median .5 ms, mAP@10 1.000; the best takes 8 ms."

    def test_a_failed_method_is_named_and_not_counted_as_zero(self, tmp_path: Path) -> None:
        pets(tmp_path)
        found = compared(tmp_path)
        assert statements(found)["Failed"] == "broken: k-means needs 100 descriptors, got 3"
        assert "broken on pets, same class" in {line.about: line.says for line in summarise_all([found])}["Failed"]

    def test_over_several_tasks_the_summary_names_the_best_most_often(self, tmp_path: Path) -> None:
        for data in ("pets", "birds"):
            pets(tmp_path, data)
        lines = {line.about: line.says for line in summarise_all([judge(one) for one in read_sections(tmp_path)])}
        assert lines["Best most often"].startswith("all right and one wrong: best, or not significantly worse")
        assert lines["Best on average"].endswith("over 2 tasks: all right 1.000, one wrong .950, all wrong .000.")

    def test_the_summary_compares_a_fusion_with_its_best_member(self, tmp_path: Path) -> None:
        files = TaskFiles(tmp_path, "pets", "same_class", LABELS, QUERIES)
        half = [right if at % 4 < 2 else wrong for at, (right, wrong) in enumerate(zip(RIGHT, WRONG))]
        files.method("half", half, "exact")
        files.method("none", WRONG, "hash")
        files.method("alone", RIGHT, "codes")
        files.method("both", RIGHT, "fusion", settings={"of": ["half", "none"]})
        files.method("neither", half, "fusion", settings={"of": ["half", "none"]})
        fusions = [line.says for line in summarise(compared(tmp_path)) if line.about == "Fusion"]
        assert fusions[0].startswith("both is better than its best member, half: +.500 (")
        assert fusions[1].startswith("neither is not significantly different from its best member, half: +.000 (")

    def test_the_summary_counts_queries_without_any_hit(self, tmp_path: Path) -> None:
        pets(tmp_path).method("radius 8", [*[[]] * 15, *RIGHT[15:]], "hash")
        assert statements(compared(tmp_path))["No hits"] == "radius 8 for 15 of 20 queries."

    def test_the_summary_names_the_hardest_classes(self, tmp_path: Path) -> None:
        files = TaskFiles(tmp_path, "pets", "same_class", LABELS, QUERIES)
        files.method("one", [CATS if at % 2 == 0 or at < 10 else DOGS for at in range(20)])
        assert statements(compared(tmp_path))["Hardest classes"] == "for one: dog (.500)."

    def test_without_any_result_the_summary_says_so(self, tmp_path: Path) -> None:
        TaskFiles(tmp_path, "pets", "same_class", LABELS, QUERIES).failed("broken", "no luck")
        assert [line.about for line in summarise(compared(tmp_path))] == ["No result", "Failed"]


class TestRobustness:
    def near_duplicates(self, results: Path) -> TaskFiles:
        """Four distortions of each of five pictures; from JPEG 50 on two of five are found first, mirrored none."""
        names = [f"picture {at}" for at in range(5)]
        files = TaskFiles(results, "pets", "near_duplicate", names, [name for name in names for _ in range(4)])
        files.distort([("jpeg", 90), ("jpeg", 50), ("jpeg", 10), ("mirror", 1)] * 5)
        rows = []
        for at in range(5):
            wrong = [(at + 1) % 5]
            rows += [[at], [at] if at < 2 else wrong, [at] if at < 2 else wrong, wrong]
        files.method("some", rows)
        return files

    def test_a_method_breaks_where_half_of_the_first_hits_are_wrong(self, tmp_path: Path) -> None:
        self.near_duplicates(tmp_path).method("turned", [[at // 4] for at in range(20)], "hash")
        found = compared(tmp_path)
        some = found.section.find("some")
        turned = found.section.find("turned")
        assert some is not None
        assert turned is not None
        jpeg, mirror = series_of(found.section)
        assert jpeg.strengths == ("90", "50", "10")
        assert [breaking_point(some, jpeg), breaking_point(some, mirror)] == ["50", "1"]
        assert breaking_point(turned, jpeg) == "holds"

    def test_the_page_has_a_chart_of_each_distortion(self, tmp_path: Path) -> None:
        self.near_duplicates(tmp_path / "results")
        write_report(tmp_path / "results", tmp_path / "out")
        page = (tmp_path / "out" / "report.html").read_text()
        for name in ("jpeg", "mirror"):
            assert f'aria-label="share of right first hits by strength of {name}"' in page

    def test_the_summary_names_what_is_hard_and_who_is_better_at_it(self, tmp_path: Path) -> None:
        files = self.near_duplicates(tmp_path)
        files.method("mirrors", [[at // 4] if at % 4 == 3 else [(at // 4 + 1) % 5] for at in range(20)], "local")
        says = statements(compared(tmp_path))
        assert says["Hardest distortions"] == (
            "for some: mirror (0% right) and jpeg (60% right), over all strengths. "
            "Fewer than half of its first hits are right from mirror 1 and jpeg 50 on."
        )
        assert says["Where others are better"] == "more first hits right than the best: mirror (mirrors, +1.000)."


class TestFiles:
    @pytest.fixture
    def out(self, tmp_path: Path) -> Path:
        pets(tmp_path / "results")
        write_report(tmp_path / "results", tmp_path / "out", command="make <it>")
        return tmp_path / "out"

    def test_csv_has_every_figure(self, out: Path) -> None:
        rows = {row["method"]: row for row in csv.DictReader(io.StringIO((out / "report.csv").read_text()))}
        assert rows["one wrong"]["precision@1"] == "0.95"
        assert rows["one wrong"]["p50 ms"] == "1.0"
        assert rows["all right"]["precision@1 mark"] == "best"
        assert rows["broken"]["error"] == "k-means needs 100 descriptors, got 3"
        assert rows["broken"]["precision@1"] == ""

    def test_markdown_has_summary_and_tables(self, out: Path) -> None:
        text = (out / "report.md").read_text()
        assert "| all right (baseline) | **1.000** (1.000-1.000) |" in text
        assert "| one wrong | .950° (" in text
        assert "| broken (failed: k-means needs 100 descriptors, got 3) | - |" in text

    def test_json_has_the_summary_and_the_methods(self, out: Path) -> None:
        found = json.loads((out / "report.json").read_text())
        (section,) = found["sections"]
        assert section["baseline"] == "all right"
        assert [row["method"] for row in section["methods"]] == ["all right", "one wrong", "all wrong", "broken"]
        assert {"about": "Failed", "says": "broken: k-means needs 100 descriptors, got 3"} in section["summary"]

    def test_the_page_is_whole_and_needs_nothing_else(self, out: Path) -> None:
        page = (out / "report.html").read_text()
        reader = Reader(page)
        assert reader.open == []
        assert all(reference.startswith(("#", "data:image/jpeg;base64,")) for reference in reader.references)
        assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", page)
        assert "make &lt;it&gt;" in page

    def test_the_page_marks_winner_and_failure(self, out: Path) -> None:
        page = (out / "report.html").read_text()
        assert re.search(r'<td class="best"[^>]*>1.000<abbr title="best of the column">', page)
        assert re.search(r'<td class="same"[^>]*>.950<abbr', page)
        assert '<td class="failed" colspan="14">failed: k-means needs 100 descriptors, got 3</td>' in page


def test_names_that_are_code_stay_text(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    labels = [evil] * 4 + ['"><img src=x onerror=alert(2)>'] * 4
    problem = {"picture": evil, "reason": evil}
    files = TaskFiles(tmp_path / "results", "pets", "same_class", labels, labels, problems=[problem])
    rows = [CATS, *[DOGS] * 6, CATS]
    confusion = {"labels": sorted(set(labels)), "counts": [[1, 3], [3, 1]]}
    files.method(
        f"=method {evil}",
        rows,
        confusion=confusion,
        histogram={"edges": [0, 0.5, 1], "relevant": [1, 2], "irrelevant": [3, 1]},
    )
    files.failed(f"failed {evil}", evil)
    files.content |= {"data": f"pets {evil}"}
    files.write_task()
    write_report(tmp_path / "results", tmp_path / "out", command=evil)
    page = (tmp_path / "out" / "report.html").read_text()
    assert Reader(page).scripts == 1  # the page's own
    assert "<img src=x" not in page
    assert "<script" not in (tmp_path / "out" / "report.md").read_text()
    assert "\n'=method" not in (tmp_path / "out" / "report.csv").read_text()
    assert ",'=method" in (tmp_path / "out" / "report.csv").read_text().replace('"', "")


class TestParts:
    """Parts of the page that are there or not, by what the results hold."""

    def page(self, results: Path, pictures: bool = True) -> str:
        write_report(results, results.parent / "out", pictures=pictures)
        return (results.parent / "out" / "report.html").read_text()

    def test_every_chart_and_every_scrolling_region_has_a_name_of_its_own(self, tmp_path: Path) -> None:
        for data in ("pets", "birds"):
            pets(tmp_path / "results", data)
        page = self.page(tmp_path / "results")
        assert all('aria-label="' in svg for svg in re.findall('<svg [^>]*role="img"[^>]*>', page))
        regions = re.findall('role="region" aria-label="([^"]+)"', page)
        assert len(regions) == len(set(regions)) == 4  # overview, two tasks, settings

    def test_missing_parts_are_left_out(self, tmp_path: Path) -> None:
        pets(tmp_path / "results")
        page = self.page(tmp_path / "results")
        for part in ("confuses", "PCA", "Similarities", "Examples", "Worst failures", "Robustness to distortions"):
            assert part not in page
        assert "precision against recall of" in page

    def test_maps_confusion_and_similarities_are_drawn(self, tmp_path: Path) -> None:
        files = TaskFiles(tmp_path / "results", "pets", "same_class", LABELS, QUERIES)
        files.method(
            "one",
            RIGHT,
            map=MAP,
            confusion={"labels": ["cat", "dog"], "counts": [[7, 3], [0, 10]]},
            histogram={"edges": [0.0, 0.5, 1.0], "relevant": [1, 9], "irrelevant": [8, 2]},
            threshold={"precision": 0.95, "score": 0.75, "recall": 0.4},
            roc={"false_positive_rate": [0, 1], "true_positive_rate": [0, 1], "auc": 0.875},
        )
        page = self.page(tmp_path / "results")
        assert "t-SNE of one, coloured by class" in page
        assert "<title>cat → dog: 30%</title>" in page
        assert '<tr><th scope="row">cat</th><td>dog</td><td>3 of 10</td></tr>' in page
        assert "similarities of relevant and other hits of one" in page
        assert ">.875</td>" in page

    def test_pictures_and_queries_left_out_are_listed(self, tmp_path: Path) -> None:
        problem = {"picture": "dog/empty", "reason": "a class must have pictures"}
        files = TaskFiles(tmp_path / "results", "pets", "same_class", LABELS, QUERIES, problems=[problem])
        files.method("one", [[], *RIGHT[1:]], failures=[{"picture": "q0.jpg", "reason": "damaged"}])
        page = self.page(tmp_path / "results")
        assert '<th scope="row">dog/empty</th><td>a class must have pictures</td><td>the task</td>' in page
        assert '<th scope="row">q0.jpg</th><td>damaged</td><td>all methods</td>' in page

    def test_a_result_of_another_version_of_the_task_is_left_out_and_noted(self, tmp_path: Path) -> None:
        files = pets(tmp_path / "results")
        files.method("old", RIGHT, fingerprint="another")
        (section,) = read_sections(tmp_path / "results")
        assert section.find("old") is None
        assert "old: measured on another version of this task" in self.page(tmp_path / "results")


class TestPictures:
    @pytest.fixture
    def results(self, tmp_path: Path) -> Path:
        files = pets(tmp_path / "results")
        for at, entry in enumerate([*files.content["base"], *files.content["queries"]]):
            pixels = np.random.default_rng(at).integers(0, 255, (60, 80, 3), dtype=np.uint8)
            entry["path"] = str(tmp_path / f"{at}.png")
            Image.fromarray(pixels).save(entry["path"])
        files.write_task()
        return tmp_path / "results"

    def page(self, results: Path, pictures: bool = True) -> str:
        write_report(results, results.parent / "out", pictures=pictures)
        return (results.parent / "out" / "report.html").read_text()

    def test_examples_show_right_and_wrong_hits_by_sign(self, results: Path) -> None:
        page = self.page(results)
        assert "Examples" in page
        assert '<b role="img" aria-label="right">✓</b>' in page
        assert '<b role="img" aria-label="wrong">✗</b>' in page
        assert 'src="data:image/jpeg;base64,' in page

    def test_failures_are_those_that_others_solve(self, results: Path) -> None:
        page = self.page(results)
        failures = page[page.index("Worst failures") :]
        assert "average precision .000; solved by all right" in failures
        assert failures.count('<article class="failure">') == 3  # two of "all wrong", the only one of "one wrong"

    def test_a_deleted_image_is_counted_and_not_shown(self, results: Path) -> None:
        (results.parent / "0.png").unlink()
        assert "Images whose file is missing or unreadable are not shown" in self.page(results)

    def test_pictures_are_read_within_limits_and_a_pipe_is_not_waited_for(self, results: Path) -> None:
        (results.parent / "0.png").unlink()
        os.mkfifo(results.parent / "0.png")
        assert "Images whose file is missing or unreadable are not shown" in self.page(results)
        write_report(results, results.parent / "out", reader=ImageReader(Limits(max_pixels=999)))
        assert "data:image" not in (results.parent / "out" / "report.html").read_text()

    def test_without_pictures_there_are_no_examples(self, results: Path) -> None:
        assert "data:image" not in self.page(results, pictures=False)

    def test_examples_are_of_different_images(self, results: Path) -> None:
        task = next(results.rglob("task.json"))
        content = json.loads(task.read_text())
        for at, query in enumerate(content["queries"]):  # four distortions of each of five images, one after the other
            name = ("jpeg", "mirror", "blur", "crop")[at % 4]
            query["path"] = content["base"][at // 4]["path"]
            query |= {"distortion": {"name": name, "strength": 10.0, "seed": 0}, "group": f"{name} 10"}
        task.write_text(json.dumps(content))
        (section,) = read_sections(results)
        chosen = [section.queries[at] for at in different_queries(section, range(20), 4)]
        assert len({query["path"] for query in chosen}) == 4
        assert len({query["distortion"]["name"] for query in chosen}) == 4
        assert different_queries(section, [0, 1, 2], 2) == [0, 1]  # of one image, if there is no other

    def test_distorted_queries_are_shown_distorted(self, results: Path) -> None:
        task = next(results.rglob("task.json"))
        content = json.loads(task.read_text())
        for query in content["queries"]:
            query |= {"distortion": {"name": "jpeg", "strength": 10.0, "seed": 0}, "group": "jpeg 10"}
        plain = self.page(results)
        task.write_text(json.dumps(content))
        assert "jpeg 10" in self.page(results)
        assert plain != self.page(results)


def test_many_methods_and_pictures_stay_below_ten_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)).save(path)
    for data in "abcd":
        files = TaskFiles(tmp_path / "results", data, "same_class", LABELS, QUERIES)
        for entry in (*files.content["base"], *files.content["queries"]):
            entry["path"] = str(path)
        files.write_task()
        for at in range(12):
            rows = [right if (at + query) % 5 else wrong for query, (right, wrong) in enumerate(zip(RIGHT, WRONG))]
            files.method(f"method {at}", rows, ("exact", "codes", "hash")[at % 3])
    page, *_ = write_report(tmp_path / "results", tmp_path / "out")
    assert 3_000_000 < page.stat().st_size < 10_000_000
    assert "Left out to keep the page small" in page.read_text()


def test_of_many_methods_each_kind_and_the_baseline_are_drawn(tmp_path: Path) -> None:
    files = TaskFiles(tmp_path, "pets", "same_class", LABELS, QUERIES)
    for at in range(12):
        files.method(f"codes {at}", [*RIGHT[: 20 - at], *WRONG[20 - at :]], "codes")
    files.method("plain", WRONG, "exact")
    files.method("pHash", WRONG, "hash")
    found = compared(tmp_path, "codes 11")
    drawn = [result.method for result in most_telling(found.section, found.baseline, 5)]
    assert drawn == ["codes 0", "codes 1", "codes 11", "plain", "pHash"]


class TestReading:
    def test_a_folder_without_results_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"must hold DATA/TASK/task\.json"):
            read_sections(tmp_path)

    def test_a_file_that_is_no_result_is_refused(self, tmp_path: Path) -> None:
        files = pets(tmp_path)
        (files.folder / "x.json").write_text("{}")
        with pytest.raises(ConfigError, match="lacks method"):
            read_sections(tmp_path)


def test_every_kind_of_method_has_a_marker_of_its_own_and_none_is_the_star_of_the_best() -> None:
    outlines = {kind: re.findall(r' d="([^"]+)"', key_mark(kind))[0] for kind in KINDS}
    assert len(set(outlines.values())) == len(KINDS)
    assert all(outline.count("L") < 9 for kind, outline in outlines.items() if kind != "classes")  # a star has ten
    assert outlines["classes"].count("L") == 11  # a cross


def test_the_legend_says_what_the_small_figures_of_each_table_are(tmp_path: Path) -> None:
    pets(tmp_path / "results")
    write_report(tmp_path / "results", tmp_path / "out")
    overview, task = (tmp_path / "out" / "report.html").read_text().split('<section class="task"', 1)
    assert "below it the share of right first hits" in overview
    assert "95 % interval" not in overview
    assert "Failed methods have no figures; they are not counted as zero." in overview
    assert "Below a figure: its 95 % interval" in task
    document = (tmp_path / "out" / "report.md").read_text()
    assert document.index("## Overview") < document.index("parentheses hold 95 % intervals") < document.index("## pets")


def test_cells_of_markdown_and_csv_cannot_do_harm() -> None:
    assert escaped_markdown("a|b\n<i>[x](y) *z*") == "a\\|b &lt;i>\\[x](y) \\*z\\*"
    assert [safe_cell(value) for value in ("=1", "+1", "-x", "@x", "x=1", "", -1)] == [
        "'=1",
        "'+1",
        "'-x",
        "'@x",
        "x=1",
        "",
        -1,
    ]


class TestWords:
    def test_numbers_have_few_digits(self) -> None:
        assert [amount(value) for value in (0, 0.0004, 0.0123, 12.34, 1280)] == ["0", "<.001", ".012", "12.3", "1,280"]
        assert [share(1), share(0.9333), gain(-0.0131), chance(0.0005), chance(0.012)] == [
            "1.000",
            ".933",
            "-.013",
            "p < .001",
            "p = .012",
        ]

    def test_long_lists_are_cut(self) -> None:
        assert listed(["a", "b", "c"]) == "a, b and c"
        assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


class TestScales:
    def test_ticks_are_round(self) -> None:
        assert Scale(0, 1, 0, 100).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
        assert Scale(0.3, 70, 0, 100, log=True).ticks() == pytest.approx([0.5, 1, 2, 5, 10, 20, 50])

    def test_places_follow_the_scale(self) -> None:
        assert Scale(0, 2, 100, 0)(0.5) == 75
        assert Scale(1, 100, 0, 10, log=True)(10) == pytest.approx(5)

    def test_labels_are_moved_apart_within_bounds(self) -> None:
        assert spread([5, 5, 5], 10, 0, 30) == [5, 15, 25]
        assert spread([29, 30], 10, 0, 30) == [20, 30]
        assert spread([1, 1, 1], 100, 0, 30) == [0, 15, 30]


def test_the_configuration_in_the_docs_is_one(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "docs" / "compare.md").read_text()
    block = text[text.index("    seed = 0") : text.index("Layouts are")]
    (tmp_path / "compare.toml").write_text(textwrap.dedent(block))
    plan = read_plan(tmp_path / "compare.toml", {})
    assert [method.name for method in plan.methods] == ["bit-tiny cosine", "pHash", "both"]


class TestJob:
    def test_the_command_writes_four_files_and_prints_their_paths(self, tmp_path: Path) -> None:
        pets(tmp_path / "results")
        answer = CliRunner().invoke(main, ["report", str(tmp_path / "results"), "--out", str(tmp_path / "out")])
        assert answer.exit_code == 0, answer.output
        assert {file.name for file in (tmp_path / "out").iterdir()} == {
            "report.html",
            "report.md",
            "report.csv",
            "report.json",
        }
        assert f"{tmp_path / 'out' / 'report.html'}  0." in answer.output

    def test_every_option_has_a_help_line(self) -> None:
        output = CliRunner().invoke(main, ["report", "--help"]).output
        for option in ("--out", "--baseline", "--no-pictures"):
            assert re.search(rf"{option} ?\w*\s+\w+", output)


class TestInABrowser:
    @pytest.fixture
    def browser(self, tmp_path: Path) -> Browser:
        program = find_chromium()
        if program is None:
            pytest.skip("no chromium is installed, so the page is not tried in a browser")
        pets(tmp_path / "results")
        write_report(tmp_path / "results", tmp_path / "out")
        return Browser(program, tmp_path / "profile")

    def test_it_fits_a_phone_and_sorts_by_a_column(self, browser: Browser, tmp_path: Path) -> None:
        with browser:
            browser.look(390, 800, phone=True)
            browser.open((tmp_path / "out" / "report.html").as_uri())
            assert browser.ask("document.documentElement.scrollWidth") == 390
            first = "document.querySelector('table.figures tbody th .method').innerText"
            assert browser.ask(first).startswith("all right")
            latency = (
                "[...document.querySelectorAll('table.figures thead button')].find(b => b.innerText.includes('p95'))"
            )
            browser.ask(f"{latency}.click()")
            assert browser.ask(first).startswith("all right")  # the slowest first
            browser.ask(f"{latency}.click()")
            assert browser.ask(first).startswith("one wrong")
            last = "[...document.querySelectorAll('table.figures tbody tr')].at(-1).innerText"
            assert "failed" in browser.ask(last)
