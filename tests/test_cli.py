"""The commands and jobs as a person or cron runs them: real processes, a real Elasticsearch, the bundled network."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import click
import numpy as np
import pytest
from PIL import Image

from hashsearch import telemetry
from hashsearch.cli.main import commands
from hashsearch.cli.running import run_reporting_errors
from hashsearch.demo import draw_catalog
from hashsearch.encoder import Encoder
from hashsearch.node.node import LocalNode
from hashsearch.search.planner import (
    CANDIDATES,
    CELLS_AT_LEAST,
    COMPARED_AT_LEAST,
    COMPARED_SHARE,
    PROBES,
    SCANNED_UP_TO,
)

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

HASHSEARCH = [sys.executable, "-m", "hashsearch"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small drawn catalog: 12 pictures, one more entry that is no image."""
    folder = tmp_path_factory.mktemp("pictures")
    listing = draw_catalog(folder, products=12)
    (folder / "broken.jpg").write_text("<html>not an image</html>")
    with listing.open("a", encoding="utf-8") as rows:
        rows.write("broken,broken.jpg" + "," * (listing.read_text().splitlines()[0].count(",") - 1) + "\n")
    return listing


@pytest.fixture(scope="module")
def indexed(
    pictures: Path, node: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The environment of commands that search the indexed catalog."""
    from hashsearch.elastic.client import connect

    home = tmp_path_factory.mktemp("home")
    name = f"test-cli-{os.getpid()}"
    environment = os.environ | {"HASHSEARCH_ES_URL": node.url, "HASHSEARCH_HOME": str(home), "HASHSEARCH_INDEX": name}
    job = run(["-m", "jobs.index_catalog", str(pictures)], environment)
    assert job.returncode == 3, job.stderr
    assert "13 entries: 12 new, 0 metadata updated, 0 unchanged, 1 rejected" in job.stderr
    yield environment
    with connect(node.url) as client:
        client.indices.delete(index=",".join(client.indices.get(index=f"hashsearch-{name}").body))


def run(words: Sequence[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def here(words: Sequence[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A command in this process, for the variants of a search: one of its own takes seconds to load TensorFlow."""
    out, errors, log = io.StringIO(), io.StringIO(), logging.getLogger()
    with patch.dict(os.environ, environment, clear=True), redirect_stdout(out), redirect_stderr(errors):
        with pytest.raises(SystemExit) as ended, warnings.catch_warnings():
            run_reporting_errors(commands, words, "hashsearch")
        logging.captureWarnings(False)
        log.handlers = [handler for handler in log.handlers if handler is not telemetry.current()]
    assert isinstance(ended.value.code, int)
    return subprocess.CompletedProcess(words, ended.value.code, out.getvalue(), errors.getvalue())


def hashsearch(words: Sequence[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return run(["-m", "hashsearch", *words], environment)


def all_commands(group: click.Group = commands, path: str = "hashsearch") -> Iterator[tuple[str, click.Command]]:
    """Every command of the tree with the words that it is called by, groups too."""
    yield path, group
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(all_commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_says_what_it_is_for(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "hashsearch"])
def test_the_first_sentence_of_a_commands_help_fits_a_line_of_the_list(name: str) -> None:
    assert not COMMANDS[name].get_short_help_str(limit=57).endswith("...")


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if not isinstance(command, click.Group)])
def test_every_command_chooses_the_form_of_its_messages(name: str) -> None:
    assert ["--log"] in [parameter.opts for parameter in COMMANDS[name].params]


def test_the_front_door_has_every_command_in_a_section() -> None:
    shown = hashsearch(["--help"]).stdout
    sections = "Search:", "Build an index:", "Measure and compare:", "Train:", "Serve and try:", "Local Elasticsearch:"
    assert [line for line in shown.splitlines() if line.rstrip(":") + ":" in sections] == [*sections]
    for name in (
        "index fit duplicates tune train compare nightly label node embed search match serve demo embedders "
        "fit-vocabulary"
    ).split():
        assert re.search(rf"^  {name}  +\w", shown, re.MULTILINE), name


@pytest.mark.parametrize(
    ("job", "command"),
    [
        ("index_catalog", "index"),
        ("find_duplicates", "duplicates"),
        ("fit_encoder", "fit"),
        ("fit_vocabulary", "fit-vocabulary"),
        ("tune_recall", "tune"),
        ("train_embedder", "train"),
        ("compare_baselines", "compare"),
        ("compare_models", "compare models"),
        ("label_clusters", "label"),
        ("compare_baselines nightly", "nightly"),
    ],
)
def test_a_job_is_the_command_of_the_front_door(job: str, command: str) -> None:
    module, *words = job.split()
    by_job, by_command = run(["-m", f"jobs.{module}", *words, "--help"]), hashsearch([*command.split(), "--help"])
    assert by_job.returncode == by_command.returncode == 0
    assert by_job.stdout.splitlines()[1:] == by_command.stdout.splitlines()[1:]
    assert by_job.stdout.startswith("Usage: hashsearch ")


@pytest.mark.parametrize("words", [["-c", "import hashsearch"], ["-m", "hashsearch", "--help"]])
def test_neither_the_package_nor_its_help_loads_anything_heavy(words: list[str]) -> None:
    loaded = run(["-X", "importtime", *words]).stderr
    for heavy in ("numpy", "tensorflow", "cv2", "PIL", "elasticsearch", "flask"):
        assert not re.search(rf"\| +{heavy}\b", loaded), heavy


def test_an_image_finds_the_pictures_of_its_design(pictures: Path, indexed: dict[str, str]) -> None:
    question = sorted((pictures.parent / "images").rglob("*.jpg"))[0]
    done = hashsearch(["search", str(question), "-k", "4", "--json"], indexed)
    hits = json.loads(done.stdout)
    assert hits[0]["uri"].endswith(question.name)
    assert hits[0]["hamming"] == 0
    assert hits[0]["hamming_rank"] == 1
    assert hits[0]["cosine"] == pytest.approx(1, abs=1e-5)
    assert [hit["cosine"] for hit in hits] == sorted((hit["cosine"] for hit in hits), reverse=True)
    assert {"id", "title", "category", "attributes", "width", "height", "sub_codes"} <= hits[0].keys()
    again = hashsearch(["search", "--id", hits[0]["id"], "-k", "3", "--json"], indexed)
    assert [hit["id"] for hit in json.loads(again.stdout)] == [hit["id"] for hit in hits[1:]]


def test_filters_and_radius_narrow_a_search(pictures: Path, indexed: dict[str, str]) -> None:
    question = str(sorted((pictures.parent / "images").rglob("*.jpg"))[0])
    every = json.loads(here(["search", question, "-k", "12", "--json"], indexed).stdout)
    design = every[0]["attributes"]["design"]
    none = here(["search", question, "--attribute", "design=none", "--json"], indexed)
    assert (none.returncode, json.loads(none.stdout)) == (0, []) and "no image passes the filters" in none.stderr
    same = here(["search", question, "--attribute", f"design={design}", "--json"], indexed)
    assert {hit["id"] for hit in json.loads(same.stdout)} == {
        hit["id"] for hit in every if hit["attributes"]["design"] == design
    }
    radius = every[3]["hamming"]
    near = json.loads(here(["search", question, "--radius", str(radius), "--json"], indexed).stdout)
    assert {hit["id"] for hit in near} == {hit["id"] for hit in every if hit["hamming"] <= radius}


def test_several_pictures_or_ids_have_an_answer_each(pictures: Path, indexed: dict[str, str], tmp_path: Path) -> None:
    files = [str(file) for file in sorted((pictures.parent / "images").rglob("*.jpg"))[:3]]
    (tmp_path / "note.jpg").write_text("no picture")
    queries = [files[0], str(tmp_path / "note.jpg"), *files[1:]]
    done = here(["search", *queries, "-k", "3", "--json"], indexed)
    assert done.returncode == 3, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["query"] for one in answers] == queries
    assert answers[1]["error"]["code"] == "not_an_image"
    alone = [json.loads(here(["search", file, "-k", "3", "--json"], indexed).stdout) for file in files]
    for one, hits in zip([answers[0], *answers[2:]], alone, strict=True):
        assert [hit["id"] for hit in one["hits"]] == [hit["id"] for hit in hits]
    ids = [hits[0]["id"] for hits in alone]
    words = ["search", "--id", ids[0], "--id", ids[1], "-k", "2"]
    shown = here(words, indexed).stdout
    assert shown.startswith(f"{ids[0]}:\ncosine  hamming   was  id\n")
    assert f"\n\n{ids[1]}:\ncosine" in shown
    assert here([*words, "--id", "nothing"], indexed).returncode == 3


def test_it_is_explained_why_a_picture_is_found_or_is_not(pictures: Path, indexed: dict[str, str]) -> None:
    question = str(sorted((pictures.parent / "images").rglob("*.jpg"))[0])
    first, *_, last = json.loads(here(["search", question, "-k", "12", "--json"], indexed).stdout)
    done = here(["search", question, "--explain", first["id"]], indexed)
    assert done.stdout.startswith(f"{first['id']}: found: #1 by cosine, #1 by code before re-ranking\n"), done.stderr
    words = ["search", "--id", first["id"], "-k", "3", "--explain", last["id"], "--json"]
    explanation = json.loads(here(words, indexed).stdout)
    assert (explanation["found"], explanation["why"]) == (
        False,
        "not found: it is #11 of the candidates by cosine, and k is 3",
    )


def test_turned_pictures_are_found_by_perceptual_hash(pictures: Path, indexed: dict[str, str], tmp_path: Path) -> None:
    question = sorted((pictures.parent / "images").rglob("*.jpg"))[0]
    done = hashsearch(["search", "phash", str(question), "-k", "3"], indexed)
    title, first, *_ = done.stdout.splitlines()
    assert title.split() == ["hamming", "query", "id"]
    distance, turn, image_id, *_ = first.split()
    assert (distance, turn) == ("0", "upright")
    with Image.open(question) as upright:
        upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "rotated.png")
        upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.png")
    for name, back in (("rotated", "rotated 270"), ("mirrored", "mirrored")):
        words = ["search", "phash", str(tmp_path / f"{name}.png"), "--radius", "4", "--json"]
        assert image_id not in {hit["id"] for hit in json.loads(hashsearch(words, indexed).stdout)}
        turned = json.loads(hashsearch([*words, "--turned"], indexed).stdout)
        assert (turned[0]["id"], turned[0]["turn"]) == (image_id, back)
    again = hashsearch(["search", "phash", "--id", image_id, "-k", "50", "--json"], indexed)
    others = {hit["id"] for hit in json.loads(again.stdout)}
    assert (len(others), image_id in others) == (11, False)
    category = hashsearch([*words[:3], "--category", "none of these", "--json"], indexed)
    assert json.loads(category.stdout) == []
    assert "no image passes the filters" in category.stderr
    unknown = hashsearch([*words[:3], "--attribute", "color=red"], indexed)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "search_error: a filter must name an attribute of the images, got 'color'; known: " in unknown.stderr


def test_a_vocabulary_is_learned_indexed_and_searched(
    pictures: Path, indexed: dict[str, str], client: Elasticsearch, fresh_name: str, tmp_path: Path
) -> None:
    words, environment = str(tmp_path / "words.npz"), indexed | {"HASHSEARCH_INDEX": fresh_name}
    learned = run(["-m", "jobs.fit_vocabulary", str(pictures), "--out", words, "--words", "500"])
    assert "500 words of sift" in learned.stdout, learned.stderr
    assert "left out" in learned.stderr and "broken.jpg" in learned.stderr
    job = ["-m", "jobs.index_catalog", str(pictures), "--vocabulary", words]
    assert "12 new" in run(job, environment).stderr
    file = sorted((pictures.parent / "images").rglob("*.jpg"))[0]
    with Image.open(file) as picture:
        picture.rotate(20, expand=True).save(tmp_path / "turned.png")
    sought = ["search", "sift", str(tmp_path / "turned.png"), "-k", "3"]
    done = hashsearch([*sought, "--vocabulary", words, "--matched", "12"], environment)
    assert done.stdout.splitlines()[0].split() == ["score", "inliers", "overlap", "words", "verdict", "id"]
    hits = json.loads(hashsearch([*sought, "--vocabulary", words, "--json"], environment).stdout)
    assert hits[0]["uri"] == str(file) and hits[0]["verdict"] in ("same", "in part")
    without = hashsearch(sought, environment)
    assert (without.returncode, "Missing option '--vocabulary'" in without.stderr) == (2, True)
    unlike = hashsearch([*sought, "--vocabulary", words], indexed)
    assert (unlike.returncode, "has images without visual words" in unlike.stderr) == (1, True)


@pytest.mark.slow
def test_two_images_are_matched_and_drawn(pictures: Path, tmp_path: Path) -> None:
    one, other = sorted((pictures.parent / "images").rglob("*.jpg"))[::4][:2]
    with Image.open(one) as picture:
        picture.crop((40, 40, 400, 400)).save(tmp_path / "part.png")
    done = hashsearch(["match", str(one), str(tmp_path / "part.png"), "--out", str(tmp_path / "drawn.png")])
    assert re.match(r"(same|in part): \d+ of \d+ matches fit one homography, score \d", done.stdout), done.stderr
    with Image.open(tmp_path / "drawn.png") as drawn, Image.open(one) as picture:
        assert drawn.size == (picture.width + 360, picture.height)
    answer = json.loads(hashsearch(["match", str(one), str(other), "--features", "orb", "--json"]).stdout)
    assert (answer["verdict"], answer["score"] < 1) == ("unlike", True)


def test_strategies_and_what_goes_with_them(
    pictures: Path, indexed: dict[str, str], client: Elasticsearch, fresh_name: str
) -> None:
    question = str(sorted((pictures.parent / "images").rglob("*.jpg"))[0])

    def search(*words: str, environment: dict[str, str] = indexed) -> list[dict[str, Any]]:
        done = here(["search", question, "-k", "12", "--json", *words], environment)
        assert done.returncode == 0, done.stderr
        hits: list[dict[str, Any]] = json.loads(done.stdout)
        return hits

    every = search()
    assert len(every) == 12
    near = search("--strategy", "sub_codes", "--compared", "1")
    assert near[0]["id"] == every[0]["id"]
    assert all(hit["sub_codes"] for hit in near)
    assert [hit["id"] for hit in search("--strategy", "sub_codes")] == [hit["id"] for hit in every]
    graph = {**indexed, "HASHSEARCH_INDEX": fresh_name}
    assert "12 new" in run(["-m", "jobs.index_catalog", str(pictures), "--graph"], graph).stderr
    unranked = [{**hit, "hamming_rank": None} for hit in every]
    assert search("--strategy", "graph", environment=graph) == unranked
    assert search(environment=graph) == unranked
    assert search("--strategy", "scan", environment=graph) == every


def test_the_help_of_a_search_tells_the_defaults() -> None:
    said = " ".join(hashsearch(["search", "--help"]).stdout.split())
    assert f"sub_codes above {SCANNED_UP_TO:,} images" in said
    least = f"at least {COMPARED_AT_LEAST:,} and {CELLS_AT_LEAST} average cells"
    assert f"a {COMPARED_SHARE}th of the index, but {least}]" in said
    assert f"probed per block. [default: the tuned value, else {PROBES}]" in said
    assert f"[default: the tuned value, else {CANDIDATES}; at least k]" in said


def test_rejected_entries_are_listed_and_a_second_run_changes_nothing(pictures: Path, indexed: dict[str, str]) -> None:
    again = run(["-m", "jobs.index_catalog", str(pictures)], indexed)
    assert again.returncode == 3
    assert "0 new, 0 metadata updated, 12 unchanged, 1 rejected" in again.stderr
    rejects = again.stderr.split("rejected entries: ")[1].strip()
    (reject,) = (json.loads(line) for line in Path(rejects).read_text().splitlines())
    assert (reject["id"], reject["error"]) == ("broken", "not_an_image")


def test_what_is_passed_over_in_a_folder_is_one_line(indexed: dict[str, str], tmp_path: Path, fresh_name: str) -> None:
    fresh = {**indexed, "HASHSEARCH_INDEX": fresh_name}
    empty = run(["-m", "jobs.index_catalog", str(tmp_path), "--allow-empty"], fresh)
    assert (empty.returncode, "0 entries: 0 new" in empty.stderr) == (0, True), empty.stderr
    Image.new("RGB", (60, 40), "red").save(tmp_path / "camera", "JPEG")
    (tmp_path / "link").symlink_to("camera")
    for name in ("a.HEIC", "b.heic", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    job = run(["-m", "jobs.index_catalog", str(tmp_path)], fresh)
    assert job.returncode == 0, job.stderr
    line = "4 files passed over: 2 .heic (not supported), 1 .txt (not a picture), 1 link to a file of this folder"
    assert line in job.stderr
    assert "1 entries: 1 new" in job.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["search"], 2, "give either IMAGE or --id"),
        (["search", "--id", "nothing"], 1, "image_not_found: no image with id 'nothing'"),
        (["search", "--id", "x", "-k", "0"], 1, "search_error: k must be 1 to 10000, got 0"),
        (["search", "--id", "x", "--compared", "0"], 1, "search_error: compared must be at least 1, got 0"),
        (["search", "phash", "--id", "x", "--turned"], 2, "--turned turns the picture itself: give IMAGE"),
        (["search", "--id", "x", "--turned"], 2, "No such option: --turned"),
        (["search", "--id", "x", "--explain", "y", "--radius", "3"], 2, "--explain is about the k most similar images"),
        (["search", "sift", "--id", "x", "--explain", "y"], 2, "No such option: --explain"),
        (["search", "--id", "x", "--id", "y", "--radius", "3"], 2, "--radius or --explain takes one query, got 2"),
        (["search", "phash", "--id", "x", "--id", "y"], 2, "search phash takes one query, got 2"),
        (["search", "phash", "--id", "x", "--min-cosine", "0"], 2, "No such option: --min-cosine"),
        (["search", "--id", "x", "--crop", "0,0,1,1"], 2, "--crop takes a part of IMAGE: give IMAGE instead of --id"),
        (["search", "--id", "x", "--crop", "0,0,1"], 2, "must be four numbers, got '0,0,1'"),
        (["search", "phash", "--id", "x", "--radius", "1"], 1, "image_not_found: no image with id 'x'"),
        (["search", "--id", "x", "--index", "Ä"], 1, "config_error: an index name must be"),
        (["search", "--id", "x", "--index", "absent"], 1, "index_not_found: there is no index 'hashsearch-absent'"),
        (["search", "--id", "x", "--es-url", "http://127.0.0.1:9"], 1, "store_unavailable: Elasticsearch does not"),
        (["search", "--id", "x", "--home", "/dev/null/home", "--es-url", ""], 1, "node_error: "),
        (["search", "--id", "x", "--encoder", "nowhere"], 1, "encoder_error: nowhere is not a complete encoder folder"),
        (["embed", "x.jpg", "--out", "x.npz", "--embedder", "none"], 1, "unknown_embedder: an embedder must be one of"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(indexed: dict[str, str], words: list[str], code: int, said: str) -> None:
    failed = hashsearch(words, indexed)
    assert failed.returncode == code
    assert said in re.sub(
        r"(No such option):? '?(--[\w-]+)'?", r"\1: \2", failed.stderr
    )  # as versions of click have it
    assert "Traceback" not in failed.stderr


@pytest.mark.slow
def test_embed_writes_vectors_and_leaves_out_what_is_no_image(pictures: Path, tmp_path: Path) -> None:
    done = hashsearch(["embed", str(pictures.parent), "--out", str(tmp_path / "v.npz"), "--json"])
    assert done.returncode == 3, done.stderr
    answer = json.loads(done.stdout)
    assert [reject["error"] for reject in answer["rejects"]] == ["not_an_image"]
    with np.load(tmp_path / "v.npz", allow_pickle=False) as saved:
        assert saved["vectors"].shape == (len(saved["sources"]), answer["dims"]) == (12, answer["dims"])
        assert np.allclose(np.linalg.norm(saved["vectors"], axis=1), 1, atol=1e-5)


def test_a_fitted_encoder_indexes_and_no_other_reads_its_index(
    pictures: Path, indexed: dict[str, str], tmp_path: Path
) -> None:
    words = ["-m", "jobs.fit_encoder", str(pictures), "--out", str(tmp_path / "mine")]
    fitted = run([*words, "--bits", "256", "--sub-codes", "blocks"])
    assert fitted.returncode == 0, fitted.stderr
    assert "256 bits" in fitted.stdout
    assert "left out" in fitted.stderr
    refused = hashsearch(["search", "--id", "x", "--encoder", str(tmp_path / "mine")], indexed)
    assert refused.returncode == 1
    assert refused.stderr.startswith("encoder_mismatch: index 'hashsearch-test-cli-")
    assert re.search(r"encoder [0-9a-f]{16} .* is [0-9a-f]{16}$", refused.stderr.strip())


@pytest.mark.slow
def test_a_hash_head_learns_from_categories_and_counts_what_has_none(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for place in ("mugs/a", "mugs/b", "cups/a", "cups/b", "lamps/only", "loose"):
        (tmp_path / "shop" / place).parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(256, size=(40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "shop" / f"{place}.png")
    words = ["-m", "jobs.fit_encoder", str(tmp_path / "shop"), "--sub-codes", "blocks", "--binarizer", "head"]
    fitted = run([*words, "--bits", "64", "--out", str(tmp_path / "mine")])
    assert fitted.returncode == 0, fitted.stderr
    assert "head learns from categories: 1 images without one and 1 alone in theirs are not used" in fitted.stderr
    assert Encoder.load(tmp_path / "mine").binarizer.name == "head"
    failed = run(["-m", "jobs.fit_encoder", str(tmp_path / "shop" / "mugs"), *words[3:], "--out", str(tmp_path / "no")])
    assert failed.returncode == 1
    assert "hashing_error: labels must tell two classes or more of two images or more, got 0 such" in failed.stderr


@pytest.mark.slow
def test_an_encoder_cannot_be_fitted_on_too_few_images(pictures: Path, tmp_path: Path) -> None:
    failed = run(["-m", "jobs.fit_encoder", str(pictures), "--out", str(tmp_path / "none")])
    assert failed.returncode == 1
    assert "hashing_error: 16 cells need at least as many vectors to learn from, got 12" in failed.stderr


def test_an_encoder_of_smaller_re_rank_vectors_searches(
    pictures: Path, indexed: dict[str, str], client: Elasticsearch, fresh_name: str, tmp_path: Path
) -> None:
    folder, options = str(tmp_path / "small"), ["--rerank-dims", "8", "--rerank-dtype", "int8", "--cells", "4"]
    fitted = run(["-m", "jobs.fit_encoder", str(pictures), "--out", folder, *options])
    assert fitted.returncode == 0, fitted.stderr
    assert "re-rank vectors of 8 int8" in fitted.stdout
    environment = {**indexed, "HASHSEARCH_INDEX": fresh_name, "HASHSEARCH_ENCODER": folder}
    assert "12 new" in run(["-m", "jobs.index_catalog", str(pictures)], environment).stderr
    question = sorted((pictures.parent / "images").rglob("*.jpg"))[0]
    hits = json.loads(here(["search", str(question), "-k", "12", "--json"], environment).stdout)
    assert (len(hits), hits[0]["hamming"], hits[0]["cosine"]) == (12, 0, pytest.approx(1, abs=1e-5))
    for narrowed, expected in (([], hits[1:]), (["--radius", "0"], [])):
        again = here(["search", "--id", hits[0]["id"], "-k", "12", "--json", *narrowed], environment)
        assert [hit["id"] for hit in json.loads(again.stdout)] == [hit["id"] for hit in expected]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--rerank-dims", "1281"],
            "hashing_error: re-rank vectors can have at most the embedding's 1280 dims, got 1281",
        ),
        (["--rerank-dims", "0"], "hashing_error: re-rank vectors must have at least 1 dimension, got 0"),
        (["--rerank-dtype", "int4"], "hashing_error: the dtype of re-rank vectors must be float32 or int8, got 'int4'"),
    ],
)
def test_impossible_re_rank_vectors_are_refused_before_the_work(
    pictures: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    failed = run(["-m", "jobs.fit_encoder", str(pictures), "--out", str(tmp_path / "none"), *options])
    assert failed.returncode == 1
    assert said in failed.stderr
    assert "images" not in failed.stderr, "refused before the work"


def test_several_models_are_served(pictures: Path, indexed: dict[str, str], tmp_path: Path) -> None:
    Encoder.bundled().save(tmp_path / "encoder")
    name, port = indexed["HASHSEARCH_INDEX"], free_port()
    models = ["--model", f"bundled={name}", "--model", f"copied={name}:{tmp_path / 'encoder'}"]
    words = [*HASHSEARCH, "serve", *models, "--port", str(port)]
    with subprocess.Popen(words, env=indexed | {"PYTHONUNBUFFERED": "1"}, stderr=subprocess.PIPE, text=True) as serving:
        until(serving, "search page: ")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/models") as answer:
            served = [(model["name"], model["index"], model["count"]) for model in json.load(answer)["models"]]
        serving.terminate()
    assert served == [("bundled", f"hashsearch-{name}", 12), ("copied", f"hashsearch-{name}", 12)]
    for wrong, rule in (
        ("copied", "a model must be NAME=INDEX"),
        ("bundled=other", "a name of its own, got 'bundled'"),
    ):
        refused = hashsearch(["serve", *models, "--model", wrong], indexed)
        assert (refused.returncode, rule in refused.stderr) == (2, True), refused.stderr


def test_the_demo_serves_a_page_and_stops_its_node(node_home: Path, server_folder: Path) -> None:
    """On one's own pictures, with a local node of its own, ended by Ctrl-C."""
    home = node_home / "demo"
    photos = home / "photos"
    photos.mkdir(parents=True)
    (home / "server").symlink_to(server_folder)
    for number in range(3):
        pixels = np.random.default_rng(number).integers(256, size=(40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{number}.png")
    environment = {**os.environ, "HASHSEARCH_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    environment.pop("HASHSEARCH_ES_URL", None)
    port = free_port()
    words = [*HASHSEARCH, "demo", "--catalog", str(photos), "--port", str(port)]
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as demo:
        said = until(demo, "search page: ")
        assert re.search(r"^1\.0000 +0 +#1 +\d\.png", said, re.MULTILINE), said
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as health:
            assert json.load(health)["count"] == 3
        assert LocalNode(home).status().running
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=60) == 0
    assert not LocalNode(home).status().running


def until(process: subprocess.Popen[str], sentence: str) -> str:
    """All that the process says up to a sentence."""
    said = ""
    deadline = time.monotonic() + 240
    assert process.stderr is not None
    while sentence not in said and time.monotonic() < deadline:
        line = process.stderr.readline()
        assert line, f"it ended before saying '{sentence}': {said}"
        said += line
    return said


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def doomed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files that commands cannot use, and with things that are in their way."""
    folder = tmp_path_factory.mktemp("doomed")
    Image.new("RGB", (60, 40), "red").save(folder / "photo.png")
    (folder / "note.txt").write_text("no picture, no catalog")
    (folder / "rows.csv").write_text("sku,path\n1,photo.png\n")
    (folder / "empty.csv").write_text("id,path\n")
    (folder / "alike.csv").write_text("number,photo\n1,photo.png\n2,photo.png\n")
    (folder / "bad.toml").write_text("name = [")
    recipe = (
        'seed = 1\n[data]\nname = "x"\nfolder = "absent"\nlayout = "folders"\n'
        '[model]\nnetwork = "cnn"\ninput_size = 32\n'
        '[loss]\nname = "softmax"\n[optimiser]\nname = "adam"\nlearning_rate = 0.1\n[schedule]\nepochs = 1\nbatch = 8\n'
    )
    (folder / "recipe.toml").write_text(recipe)
    (folder / "loss.toml").write_text(recipe.replace("softmax", "hardmax"))
    (folder / "network.toml").write_text(recipe.replace("cnn", "vgg99"))
    (folder / "teacher.toml").write_text('teacher = "bit-m-r50x1"\n')
    (folder / "study.toml").write_text(
        'recipes = ["bad.toml"]\n[[data]]\nname = "x"\nfolder = "absent"\nlayout = "folders"\n'
        '[[task]]\nname = "copies"\n[[method]]\nname = "a"\nkind = "exact"\nfeatures = "pixels"\n'
    )
    (folder / "there").mkdir()
    (folder / "there.npz").touch()
    return folder


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("index absent", 1, "catalog_error: there is no catalog at "),
        ("index note.txt", 1, "catalog_error: a catalog is a folder, .csv"),
        ("index rows.csv --column label=x", 1, "config_error: a column's role must be one of id, image, title"),
        (
            "index rows.csv --column id=ean",
            1,
            "config_error: the id is in column 'ean', which 'rows.csv' does not have",
        ),
        (
            "index there",
            1,
            "catalog_error: the catalog 'there' has no images; --allow-empty accepts a catalog without images",
        ),
        ("index empty.csv", 1, "catalog_error: the catalog 'empty.csv' has no images, only a header: id, path"),
        (
            "index alike.csv",
            1,
            "catalog_error: none of the 2 rows of 'alike.csv' can be indexed, all for one reason: an",
        ),
        ("index rows.csv --column id", 2, "must be ROLE=COLUMN, got 'id'"),
        ("index rows.csv --encoder absent", 1, "encoder_error: absent is not a complete encoder folder"),
        ("index rows.csv --vocabulary absent", 1, "vocabulary_error: absent is not a vocabulary"),
        ("index rows.csv --index Ä", 1, "config_error: an index name must be"),
        ("index rows.csv --es-url http://127.0.0.1:9", 1, "store_unavailable: Elasticsearch does not answer"),
        ("index rows.csv --rejects note.txt/rejects", 2, "is not a folder that may be written to"),
        ("fit there --out there", 1, "encoder_error: an encoder is never overwritten, and there exists"),
        ("fit there --out new --embedder none", 1, "unknown_embedder: an embedder must be one of efficientnet-lite0"),
        (
            "fit there --out new --embedder bit-m-r50x1 --weights a.npz",
            1,
            "weights_not_found: weights must be an .npz checkpoint, found no file a.npz",
        ),
        ("fit there --out new --embedder mobilenet-v2", 1, "weights_not_found: mobilenet-v2 does not ship"),
        ("fit there --out new --embedder a.json --weights there.npz", 1, "config_error: a.json must be JSON"),
        ("fit there --out new --binarizer none", 1, "hashing_error: unknown binarizer 'none'"),
        ("fit there --out new --sub-codes none", 1, "hashing_error: unknown sub-codes 'none'"),
        ("fit there --out new --sub-codes blocks --cells 8", 2, "--cells goes with --sub-codes cells"),
        ("fit there --out new --bits 7", 1, "hashing_error: bits must be a positive multiple of 8, got 7"),
        (
            "fit there --out new --rerank-dims 1281",
            1,
            "hashing_error: re-rank vectors can have at most",
        ),
        ("fit note.txt --out new", 1, "catalog_error: a catalog is a folder, .csv"),
        ("fit there --out new", 1, "catalog_error: the catalog 'there' has no images"),
        ("fit-vocabulary there --out there.npz", 1, "vocabulary_error: a vocabulary is never overwritten"),
        ("fit-vocabulary there --out new --features surf", 1, "config_error: local features must be one of sift"),
        ("tune --queries note.txt", 1, "catalog_error: a catalog is a folder, .csv"),
        ("duplicates --out new --cosine 2", 1, "search_error: cosine must be -1 to 1, got 2"),
        ("duplicates --out new --keep best", 1, "config_error: what to keep must be largest, oldest"),
        ("duplicates --out new --attribute colour", 2, "must be NAME=VALUE, got 'colour'"),
        (
            "compare run bad.toml --out new",
            1,
            "config_error: a comparison must be a TOML file, but bad.toml cannot be read",
        ),
        ("compare run study.toml --out new --weights vgg16", 2, "must be NETWORK=FILE, got 'vgg16'"),
        (
            "compare run study.toml --out new --weights vgg16=absent",
            1,
            "weights_not_found: the weights of vgg16 must be",
        ),
        ("compare models bad.toml --out new", 1, "training_error: a recipe must be a TOML file"),
        ("compare models study.toml --out new", 1, "training_error: a recipe must be a TOML file"),
        ("train bad.toml --data . --out new", 1, "training_error: a recipe must be a TOML file"),
        ("train loss.toml --data . --out new", 1, "must be one of softmax, semi-hard-triplet"),
        ("train network.toml --data . --out new", 1, "must be one of efficientnet-lite0, "),
        (
            "train recipe.toml --data . --out new",
            1,
            "evaluation_error: data set 'x' must be a folder or a catalog file",
        ),
        ("train recipe.toml --data . --out new --weights absent", 2, "'absent' does not exist"),
        ("train recipe.toml --data . --out note.txt/new", 2, "is not a folder that may be written to"),
        ("train teacher.toml --data . --out new", 2, "a recipe with a teacher needs --weights"),
        ("label export there --out new.csv", 1, "evaluation_error: the table must be a .parquet file"),
        ("label export note.txt --out new.parquet", 1, "catalog_error: a catalog is a folder, .csv"),
        ("label export there --out new.parquet --embedder none", 1, "unknown_embedder: an embedder must be one of"),
        ("embed photo.png --out new.npz --embedder none", 1, "unknown_embedder: an embedder must be one of"),
        ("embed photo.png --out new.npz --embedder vgg16 --weights absent", 1, "weights_not_found: weights must be"),
        ("embed photo.png --out note.txt/new.npz", 2, "is not a folder that may be written to"),
        ("search photo.png -k 0", 1, "search_error: k must be 1 to 10000, got 0"),
        ("search photo.png --strategy none", 1, "search_error: strategy must be one of scan, sub_codes, graph"),
        ("search photo.png --index Ä", 1, "config_error: an index name must be"),
        ("search photo.png --index absent", 1, "index_not_found: there is no index 'hashsearch-absent'"),
        ("search photo.png --encoder absent", 1, "encoder_error: absent is not a complete encoder folder"),
        ("search photo.png --crop 0,0,900,900", 1, "invalid_crop: a crop in pixels must lie inside the 60 x 40 image"),
        ("search note.txt", 1, "not_an_image: an image must be one of JPEG"),
        ("search sift photo.png --vocabulary absent", 1, "vocabulary_error: absent is not a vocabulary"),
        ("serve --encoder absent", 1, "encoder_error: absent is not a complete encoder folder"),
        ("serve --model a=Ä", 1, "config_error: an index name must be"),
        ("serve --port {busy}", 1, "config_error: the page cannot be served at 127.0.0.1:"),
        (
            "serve --host no.such.host.invalid",
            1,
            "config_error: the page cannot be served at no.such.host.invalid:5800",
        ),
        ("demo --port {busy}", 1, "config_error: the page cannot be served at 127.0.0.1:"),
        ("demo --catalog note.txt", 1, "catalog_error: a catalog is a folder, .csv"),
    ],
)
def test_what_can_be_refused_at_once_is_refused_before_tensorflow_loads(
    doomed: Path, indexed: dict[str, str], command: str, code: int, said: str
) -> None:
    program = (
        "import atexit, sys; from hashsearch.cli.main import main; "
        "atexit.register(lambda: print('tensorflow' in sys.modules)); main()"
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        words = command.format(busy=listener.getsockname()[1]).split()
        paths = {"PYTHONPATH": str(Path(__file__).parent.parent)}
        refused = subprocess.run(
            [sys.executable, "-c", program, *words],
            cwd=doomed,
            env=indexed | paths,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert (refused.returncode, refused.stdout) == (code, "False\n"), refused.stderr
    assert said in " ".join(refused.stderr.split()) and "Traceback" not in refused.stderr
    assert not {"new", "new.npz", "new.parquet"} & {path.name for path in doomed.iterdir()}
