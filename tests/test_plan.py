"""A plan is checked before the work begins, and errors name the table that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.shelves import METHODS, TASKS, make_shelves, write_config

from hashsearch.errors import ConfigError
from hashsearch.evaluation.compare.plan import Fusion, PlannedMethod, make_tasks, read_plan
from hashsearch.images.limits import Limits
from hashsearch.images.sources import ImageReader

METHOD = '[[method]]\nname = "one"\nkind = "{}"\n'


def method(kind: str, more: str = "") -> str:
    return METHOD.format(kind) + more


def test_a_plan_holds_what_the_file_says(tmp_path: Path) -> None:
    plan = read_plan(write_config(tmp_path, head="seed = 3\n"))
    assert (plan.k, plan.seed, len(plan.tasks)) == (50, 3, 2)
    assert [method.name for method in plan.methods] == ["colours", "pixels", "pHash", "both"]
    pixels, both = plan.methods[1], plan.methods[3]
    assert isinstance(pixels, PlannedMethod)
    assert pixels.settings == {"features": {"name": "pixels-8", "side": 8}, "queries": "pixels-8"}
    assert isinstance(both, Fusion)
    assert both.settings == {"of": ["colours", "pHash"], "constant": 60}


def test_defaults_are_part_of_the_settings(tmp_path: Path) -> None:
    (entry,) = read_plan(write_config(tmp_path, method("local", 'features = "sift"\nwords = 100\n'))).methods
    assert entry.settings["words"] == 100
    assert entry.settings["recall"] == "words"
    assert entry.settings["features"]["keypoints"] == 256


def test_codes_say_that_they_are_centred_so_that_former_results_are_measured_again(tmp_path: Path) -> None:
    (entry,) = read_plan(write_config(tmp_path, method("codes", 'features = "pixels"\nbits = 64\n'))).methods
    known = {"binarizer": "rotation", "sub_codes": "cells", "candidates": 500, "strategy": None, "centred": True}
    assert entry.settings == {"features": PIXELS, "queries": "pixels-32", "bits": 64, **known}


PIXELS = {"name": "pixels-32", "side": 32}
SIFT = {"name": "sift-256", "kind": "sift", "keypoints": 256, "side": 320}
FORMER_SETTINGS: list[tuple[str, dict[str, object]]] = [
    (method("exact", 'features = "pixels"\n'), {"features": PIXELS, "queries": "pixels-32"}),
    (
        method("classes", 'features = "pixels"\n'),
        {"features": PIXELS, "queries": "pixels-32", "classifier": "softmax"},
    ),
    (method("histogram"), {"features": {"name": "colour-histogram"}, "queries": "colour-histogram"}),
    (
        method("hash", 'features = "dhash-64"\nturned = true\nradius = 20\n'),
        {"features": {"name": "dhash-64", "hash": "dhash-64"}, "queries": "dhash-64 turned", "radius": 20},
    ),
    (
        method("local", 'features = "sift"\nwords = 16\n'),
        {"features": SIFT, "queries": "sift-256", "recall": "words", "words": 16, "verified": 50},
    ),
]


@pytest.mark.parametrize(("methods", "settings"), FORMER_SETTINGS)
def test_settings_are_those_in_result_files_of_version_0_1(
    methods: str, settings: dict[str, object], tmp_path: Path
) -> None:
    (planned,) = read_plan(write_config(tmp_path, methods)).methods
    assert planned.settings == settings


def test_weights_of_the_command_line_count_unless_a_method_names_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    own = method("exact", f'features = "mobilenet-v2"\nweights = "{tmp_path / "b"}"\n')
    plain = method("exact", 'features = "mobilenet-v2"\n').replace("one", "two")
    given = {"mobilenet-v2": str(tmp_path / "a")}
    first, second = read_plan(write_config(tmp_path, own + plain), given).methods
    assert first.settings["features"]["weights"] != second.settings["features"]["weights"]


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ("", r"must have one or more tables \[\[method\]\]"),
        ('[[method]]\nkind = "exact"\n', "1: a name must be a non-empty text, got None"),
        (method("guess"), r"\[\[method\]\] 1: a kind must be one of codes, .*, fusion, got 'guess'"),
        (
            method("exact"),
            "features of this kind must be one of .*pixels, a trained embedder or a .json file, got None",
        ),
        (method("hash", 'features = "md5"\n'), r"one of phash-64, .*got 'md5'"),
        (method("exact", 'features = "pixels"\nsize = 3\n'), r"may contain side, got 'size'"),
        (
            method("histogram", "bins = 3\n"),
            r"kind 'histogram' with features 'colour' may contain nothing else, got 'bins'",
        ),
        (method("local", 'features = "sift"\nkeypoints = 0\n'), "keypoints must be 1 to 1000, got 0"),
        (method("codes", 'features = "pixels"\ncandidates = 0\n'), "candidates must be 1 to 10000, got 0"),
        (method("codes", 'features = "pixels"\ncandidates = "many"\n'), "an option has the wrong type"),
        (method("classes", 'features = "pixels"\nclassifier = "guess"\n'), "one of softmax, svm, got 'guess'"),
        (METHODS + METHODS, r"\[\[method\]\] 5: every method must have its own name, got 'colours' twice"),
        (
            METHODS + method("fusion", 'of = ["pixels", "guess"]\n'),
            "'of' must name methods among colours, pixels, pHash, got 'guess'",
        ),
        (
            METHODS + method("fusion", 'of = ["pixels", "both"]\n'),
            "'of' must name methods among colours, pixels, pHash, got 'both'",
        ),
        (METHODS + method("fusion", 'of = ["pixels", "pixels"]\n'), "must name two or more methods in 'of'"),
        (METHODS + method("fusion", 'of = ["pixels", "pHash"]\nconstant = -1\n'), "whole number of at least 0, got -1"),
        ("[[method]\n", "a comparison must be a TOML file, but .*compare.toml cannot be read as one"),
        ("a = " + "[" * 9000, "a comparison must be a TOML file, but .*compare.toml cannot be read as one"),
    ],
)
def test_the_error_of_a_wrong_method_names_its_table(methods: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        read_plan(write_config(tmp_path, methods))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("k = 0\n", "k in .* must be a whole number, 1 to 1000, got 0"),
        ("seed = 0.5\n", "seed in .* must be a whole number"),
        ("colour = 1\n", "may contain data, k, method, seed, task, got 'colour'"),
    ],
)
def test_a_wrong_number_is_refused(head: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        read_plan(write_config(tmp_path, head=head))


def test_tasks_are_those_of_each_data_set(tmp_path: Path) -> None:
    make_shelves(tmp_path)
    data, tasks = TASKS.split("[[task]]", 1)
    again = data.replace('name = "shelves"', 'name = "again"').replace("[[data]]", "[[data]]\nlimit = 9")
    some = "[[task]]" + tasks + '[[task]]\nname = "same_class"\ndata = ["again"]\nqueries = 3\n'
    some = some.replace('[[task]]\nname = "same_class"\n', '[[task]]\nname = "same_class"\ndata = ["shelves"]\n', 1)
    planned = make_tasks(read_plan(write_config(tmp_path, tasks=data + again + some)), tmp_path)
    assert [(task.data, task.name) for task in planned] == [
        ("shelves", "same_class"),
        ("shelves", "near_duplicate"),
        ("again", "near_duplicate"),
        ("again", "same_class"),
    ]
    assert (len(planned[0].base), len(planned[3].base), len(planned[3].queries)) == (18, 9, 3)


def test_distractors_are_other_data(tmp_path: Path) -> None:
    make_shelves(tmp_path)
    (tmp_path / "shelves").rename(tmp_path / "others")
    make_shelves(tmp_path)
    others = TASKS.split("[[task]]")[0].replace("shelves", "others")
    more = '[[task]]\nname = "same_class"\ndata = ["shelves"]\ndistractors = ["others"]\ndistractors_most = 5\n'
    reader = ImageReader(Limits(max_pixels=9))
    planned = make_tasks(read_plan(write_config(tmp_path, tasks=TASKS + others + more)), tmp_path, reader)
    pictures = [picture for task in planned for picture in (*task.learn, *task.base, *task.queries)]
    assert all(picture.reader == reader for picture in pictures), "distorted ones and distractors too"
    assert [task.name for task in planned[:3]] == ["same_class", "near_duplicate", "same_class+5"]
    assert len(planned[2].base) == 18 + 5


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (TASKS.replace("splits", "piles"), r"\[\[data\]\] 1: the layout of a data set must be one of splits"),
        (
            TASKS.replace('folder = "shelves"', 'folder = "nowhere"'),
            r"\[\[data\]\] 1: .*but '.*/nowhere' does not exist",
        ),
        (
            TASKS.replace('folder = "shelves"\n', ""),
            r"\[\[data\]\] 1: a data set must have a name, a folder and a layout",
        ),
        (TASKS.replace("near_duplicate", "guess"), r"\[\[task\]\] 2: a task must be one of same_class"),
        (TASKS.replace("queries = 2", "many = 2"), r"\[\[task\]\] 2: .*got 'many'"),
        (
            TASKS.replace("queries = 2", 'data = ["guess"]'),
            r"\[\[task\]\] 2: data sets must be a list of names among shelves",
        ),
        (
            TASKS.replace("queries = 2", 'distractors = ["guess"]'),
            r"\[\[task\]\] 2: data sets must be a list of names among",
        ),
        (TASKS + '[[task]]\nname = "same_class"\n', "'shelves' has same_class twice"),
        (TASKS + TASKS.split("[[task]]")[0], r"every \[\[data\]\] must have its own name"),
    ],
)
def test_the_error_of_a_wrong_task_names_its_table(tasks: str, message: str, tmp_path: Path) -> None:
    make_shelves(tmp_path)
    plan = read_plan(write_config(tmp_path, tasks=tasks))
    with pytest.raises(ConfigError, match=message):
        make_tasks(plan, tmp_path)
