"""Tasks: which answers are right, what is left out and why, and that a task is the same whenever it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.data.datasets import DataSet
from hashsearch.evaluation.data.distortions import DISTORTIONS, Distortion
from hashsearch.evaluation.data.pictures import LeftOut, Picture
from hashsearch.evaluation.data.tasks import Task, make_task, with_distractors

Make = Callable[..., DataSet]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes data of `id: label` tables; the file of each id holds the id unless `contents` has other bytes."""

    def made(
        base: dict[str, str], queries: dict[str, str] | None = None, name: str = "pets", **contents: bytes
    ) -> DataSet:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        tables = base, queries or {}
        for own in (own for table in tables for own in table):
            (folder / own).write_bytes(contents.get(own, own.encode()))
        searched, queried = (tuple(Picture(own, folder / own, label) for own, label in t.items()) for t in tables)
        return DataSet(name, searched, queried)

    return made


def with_products(data: DataSet, products: dict[str, str]) -> DataSet:
    base, queries = (
        tuple(replace(picture, product=products.get(picture.id, "")) for picture in part)
        for part in (data.base, data.queries)
    )
    return replace(data, base=base, queries=queries)


def answers(task: Task) -> dict[str, list[str]]:
    """The ids of what is relevant for the id of each query."""
    assert len(task.queries) == len(task.relevant) == len(task.groups)
    return {query.id: [task.base[row].id for row in rows] for query, rows in zip(task.queries, task.relevant)}


class TestSameClass:
    def test_pictures_of_the_querys_class_are_relevant(self, make: Make) -> None:
        data = make({"a": "cat", "b": "dog", "c": "cat"}, {"x": "cat", "y": "dog"})
        task = make_task("same_class", data)
        assert answers(task) == {"x": ["a", "c"], "y": ["b"]}
        assert task.groups == ("cat", "dog")
        assert (task.data, task.name) == ("pets", "same_class")
        assert task.learn == task.base == data.base
        assert task.problems == ()

    def test_queries_without_a_relevant_picture_and_pictures_without_a_label_are_problems(self, make: Make) -> None:
        data = make({"a": "cat", "b": ""}, {"x": "cat", "y": "eel", "z": ""})
        data = replace(data, problems=(LeftOut("w", "gone"),))
        task = make_task("same_class", data)
        assert answers(task) == {"x": ["a"]}
        assert [picture.id for picture in task.base] == ["a"]
        assert task.problems == (
            LeftOut("w", "gone"),
            LeftOut("b", "a picture must have a label, this one has none"),
            LeftOut("z", "a picture must have a label, this one has none"),
            LeftOut("y", "a query must have a relevant picture, but no picture of 'eel' is searched"),
        )

    def test_without_any_query_there_is_no_task(self, make: Make) -> None:
        with pytest.raises(EvaluationError, match=r"'pets' must have a query .* problems: x: a query must"):
            make_task("same_class", make({"a": "cat"}, {"x": "dog"}))

    def test_a_limited_number_of_queries_is_spread_over_the_classes(self, make: Make) -> None:
        queries = {f"{label}{number}": label for label in ("cat", "dog", "eel") for number in range(10)}
        data = make({"a": "cat", "b": "dog", "c": "eel"}, queries)
        first, again, other = (make_task("same_class", data, queries=6, seed=seed) for seed in (1, 1, 2))
        assert Counter(first.groups) == {"cat": 2, "dog": 2, "eel": 2}
        assert answers(first) == answers(again) != answers(other)


class TestSameInstance:
    def test_photos_of_the_querys_product_are_relevant(self, make: Make) -> None:
        data = make({"a": "fruit", "b": "fruit", "c": "fruit"}, {"x": "fruit", "y": "fruit"})
        task = make_task("same_instance", with_products(data, {"a": "gala", "b": "fuji", "c": "gala", "x": "gala"}))
        assert answers(task) == {"x": ["a", "c"]}
        assert task.groups == ("gala",)
        assert [picture.label for picture in task.learn] == ["gala", "fuji", "gala"]
        assert task.problems == (LeftOut("y", "a picture must have a label, this one has none"),)

    def test_data_without_products_are_refused(self, make: Make) -> None:
        with pytest.raises(EvaluationError, match="data set 'pets' has none: set 'product'"):
            make_task("same_instance", make({"a": "cat"}, {"x": "cat"}))


class TestNearDuplicate:
    def test_each_picture_comes_in_each_distortion_and_strength(self, make: Make) -> None:
        data = make({"a": "cat", "b": "dog"}, {"x": "cat"})
        task = make_task("near_duplicate", data, distortions={"jpeg": [50, 10], "mirror": [1]})
        assert answers(task) == {
            "a@jpeg=50": ["a"],
            "a@jpeg=10": ["a"],
            "a@mirror=1": ["a"],
            "b@jpeg=50": ["b"],
            "b@jpeg=10": ["b"],
            "b@mirror=1": ["b"],
        }
        assert task.groups == ("jpeg 50", "jpeg 10", "mirror 1") * 2
        assert task.base == task.learn == data.base
        assert {query.path for query in task.queries} == {picture.path for picture in data.base}

    def test_files_of_the_same_bytes_are_relevant_too(self, make: Make) -> None:
        data = make({"a": "cat", "b": "dog", "c": "eel", "d": "fox"}, a=b"same", b=b"else", c=b"same", d=b"more!")
        task = make_task("near_duplicate", data, distortions=["mirror"])
        assert answers(task) == {
            "a@mirror=1": ["a", "c"],
            "b@mirror=1": ["b"],
            "c@mirror=1": ["a", "c"],
            "d@mirror=1": ["d"],
        }

    def test_fifty_pictures_in_all_distortions_are_the_default(self, make: Make) -> None:
        data = make({f"{number:03}": "cat" for number in range(60)})
        task = make_task("near_duplicate", data)
        kinds = [str(Distortion(name, strength)) for name, strengths in DISTORTIONS.items() for strength in strengths]
        assert Counter(task.groups) == dict.fromkeys(kinds, 50)
        assert len({query.id for query in task.queries}) == 50 * len(kinds)

    def test_distortions_are_of_the_seed_and_the_picture(self, make: Make) -> None:
        data = make({"a": "cat", "b": "cat"})
        first, again, other = (make_task("near_duplicate", data, distortions=["crop"], seed=seed) for seed in (0, 0, 1))
        assert first.queries == again.queries
        assert not set(first.queries) & set(other.queries)
        assert len({query.distortion.seed for query in first.queries if query.distortion}) == 2

    def test_pictures_without_a_label_are_searched_but_not_learnt_from(self, make: Make) -> None:
        task = make_task("near_duplicate", make({"a": "", "b": "cat"}), distortions="mirror")
        assert [picture.id for picture in task.learn] == ["b"]
        assert list(answers(task)) == ["a@mirror=1", "b@mirror=1"]

    def test_a_task_can_be_made_of_files_that_have_disappeared(self, make: Make) -> None:
        data = make({"a": "cat", "b": "cat"})
        for picture in data.base:
            picture.path.unlink()
        task = make_task("near_duplicate", data, distortions=["mirror"])
        assert answers(task) == {"a@mirror=1": ["a"], "b@mirror=1": ["b"]}
        assert len(task.fingerprint) == 16

    @pytest.mark.parametrize(
        ("distortions", "message"),
        [
            (["sepia"], "one of jpeg, .* got 'sepia'"),
            ({"jpeg": 30}, "strengths of jpeg must be a list of numbers, got 30"),
            ({"jpeg": [300]}, "jpeg must be 1 to 100"),
            ({"jpeg": ["low"]}, "jpeg must be 1 to 100 .* got 'low'"),
            ([], "must have a query"),
        ],
    )
    def test_wrong_distortions_are_refused(self, make: Make, distortions: Any, message: str) -> None:
        with pytest.raises(EvaluationError, match=message):
            make_task("near_duplicate", make({"a": "cat"}), distortions=distortions)


class TestDistractors:
    def test_pictures_of_other_data_are_searched_and_never_right(self, make: Make) -> None:
        task = make_task("same_class", make({"a": "cat", "b": "dog"}, {"x": "cat"}))
        more = with_distractors(task, [make({"a": "cat", "c": "cup"}, {"d": "jug"}, name="things")])
        assert [picture.id for picture in more.base] == ["a", "b", "things:a", "things:c", "things:d"]
        assert {picture.label for picture in more.base[2:]} == {""}
        assert answers(more) == answers(task)
        assert more.learn == task.learn
        assert more.name == "same_class+3"

    def test_distractors_are_spread_over_the_data_sets_and_their_classes(self, make: Make) -> None:
        task = make_task("same_class", make({"a": "cat"}, {"x": "cat"}))
        things = make({f"{label}{number}": label for label in ("cup", "jug") for number in range(9)}, name="things")
        cars = make({f"car{number}": "car" for number in range(9)}, name="cars")
        more = with_distractors(task, [things, cars], 6, seed=3)
        assert Counter(picture.id[:-1] for picture in more.base[1:]) == {
            "things:cup": 2,
            "things:jug": 2,
            "cars:car": 2,
        }
        assert more.name == "same_class+6"

    def test_files_of_the_task_itself_are_not_added(self, make: Make) -> None:
        data = make({"a": "cat"}, {"x": "cat"})
        task = make_task("same_class", data)
        with pytest.raises(
            EvaluationError, match="distractors must be files that the task does not have, found none in"
        ):
            with_distractors(task, [replace(data, name="pets again")])

    def test_the_tasks_own_data_are_refused(self, make: Make) -> None:
        data = make({"a": "cat"}, {"x": "cat"})
        with pytest.raises(EvaluationError, match="data sets other than the task's own 'pets'"):
            with_distractors(make_task("same_class", data), [data])


class TestFingerprint:
    def test_a_fingerprint_does_not_depend_on_where_the_data_are_stored(self, make: Make, tmp_path: Path) -> None:
        data = make({"a": "cat", "b": "dog"}, {"x": "cat"})
        moved = tmp_path / "moved"
        data.base[0].path.parent.rename(moved)
        parts = [tuple(replace(p, path=moved / p.id) for p in part) for part in (data.base, data.queries)]
        first = make_task("same_class", replace(data, base=parts[0], queries=parts[1]))
        make({"a": "cat", "b": "dog"}, {"x": "cat"})
        assert first.fingerprint == make_task("same_class", data).fingerprint

    def test_a_fingerprint_changes_with_everything_that_changes_the_answers(self, make: Make) -> None:
        data = make({"a": "cat", "b": "dog"}, {"x": "cat", "y": "dog"})
        task = make_task("same_class", data)
        prints = [
            task.fingerprint,
            make_task("same_class", data, queries=1).fingerprint,
            make_task("near_duplicate", data, distortions={"jpeg": [30]}).fingerprint,
            make_task("near_duplicate", data, distortions={"jpeg": [31]}).fingerprint,
            make_task("near_duplicate", data, distortions={"jpeg": [30]}, seed=1).fingerprint,
            replace(task, data="other").fingerprint,
            replace(task, base=task.base[:1]).fingerprint,
            replace(task, relevant=task.relevant[::-1]).fingerprint,
            make_task("same_class", make({"a": "cat", "b": "cow"}, {"x": "cat", "y": "cow"})).fingerprint,
            make_task("same_class", make({"a": "cat", "b": "dog"}, {"x": "cat", "y": "dog"}, a=b"more")).fingerprint,
        ]
        assert len(set(prints)) == len(prints)

    def test_a_fingerprint_does_not_change_with_problems_or_the_notation_of_a_strength(self, make: Make) -> None:
        data = make({"a": "cat"}, {"x": "cat"})
        task = make_task("same_class", data)
        assert replace(task, problems=(LeftOut("b", "gone"),)).fingerprint == task.fingerprint
        whole, fraction = (make_task("near_duplicate", data, distortions={"jpeg": [s]}) for s in (30, 30.0))
        assert whole.fingerprint == fraction.fingerprint


def test_an_unknown_task_and_an_unknown_option_list_the_known_ones(make: Make) -> None:
    data = make({"a": "cat"}, {"x": "cat"})
    with pytest.raises(EvaluationError, match="one of same_class, same_instance, near_duplicate, got 'same_shop'"):
        make_task("same_shop", data)
    with pytest.raises(EvaluationError, match="same_class has the options queries, got 'distortions'"):
        make_task("same_class", data, distortions=["jpeg"])
