"""Groups of commands: sections, commands that are imported when they run, and a default one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from hashsearch.cli.commands import Command, Group, command_line
from hashsearch.cli.main import commands
from hashsearch.cli.options import OUTPUT_FILE, Pair, WeightsPair, values_by_name
from hashsearch.errors import WeightsNotFound


@click.group(cls=Group, default="greet", unlisted={"secret": f"{__name__}:secret"})
def toy() -> None:
    """Some commands."""


@toy.command()
@click.argument("names", nargs=-1)
@click.option("--loud", is_flag=True, help="In capitals.")
def greet(names: tuple[str, ...], loud: bool) -> None:
    """Greet the names."""
    greeting = f"hello {' '.join(names)}"
    click.echo(greeting.upper() if loud else greeting)


@toy.command()
def part() -> None:
    """Say goodbye."""
    click.echo(f"goodbye from {command_line()}")


@click.command(cls=Command)
def secret() -> None:
    """A command that no list shows."""
    click.echo("found")


def said(*words: str, group: click.Group = toy) -> str:
    done = CliRunner().invoke(group, words, prog_name="toy")
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ann", "bob"], "hello ann bob"),
        (["--loud", "ann"], "HELLO ANN"),
        (["greet", "part"], "hello part"),
        (["ann", "part"], "hello ann part"),
        ([], "hello"),
        (["part"], "goodbye from toy part"),
        (["part", "--log", "text"], "goodbye from toy part --log text"),
        (["secret"], "found"),
    ],
)
def test_words_that_name_no_command_are_those_of_the_default_one(words: list[str], expected: str) -> None:
    assert said(*words) == expected


def test_help_of_a_group_has_its_commands_and_the_options_of_the_default_one() -> None:
    shown = said("--help")
    assert "Options of greet, the default:" in shown and "--loud" in shown
    assert "part   Say goodbye." in shown
    assert "secret" not in shown


def test_a_command_is_imported_when_it_runs_and_no_other() -> None:
    program = (
        "import atexit, sys; from hashsearch.cli.main import main; "
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); main()"
    )
    words = [sys.executable, "-c", program, "node", "status", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    ours = {name for name in done.stderr.split() if name.startswith("hashsearch.cli.")}
    assert ours == {f"hashsearch.cli.{name}" for name in ("main", "commands", "node", "options", "running")}


def test_every_place_of_a_command_is_one() -> None:
    context = click.Context(commands)
    for name in commands.list_commands(context):
        assert isinstance(commands.get_command(context, name), click.Command), name
    assert commands.get_command(context, "nothing") is None


class TestKindsOfOptions:
    @pytest.mark.parametrize("text", ["", "a", "=", "a=", "=b"])
    def test_a_pair_has_two_texts(self, text: str) -> None:
        with pytest.raises(click.BadParameter, match=f"must be NAME=VALUE, got '{text}'"):
            Pair("NAME=VALUE").convert(text, None, None)

    def test_only_the_first_equals_sign_parts_a_pair(self) -> None:
        assert Pair("NAME=VALUE").convert("a=b=c", None, None) == ("a", "b=c")
        assert values_by_name([("a", "b"), ("c", "d"), ("a", "e")]) == {"a": ["b", "e"], "c": ["d"]}

    def test_weights_exist_unless_they_are_an_address(self, tmp_path: Path) -> None:
        assert WeightsPair().convert(f"vgg16={tmp_path}", None, None) == ("vgg16", str(tmp_path))
        assert WeightsPair().convert("vgg16=https://a/b", None, None) == ("vgg16", "https://a/b")
        with pytest.raises(WeightsNotFound, match=r"the weights of vgg16 must be .* found no absent"):
            WeightsPair().convert("vgg16=absent", None, None)

    def test_an_output_may_be_in_folders_that_are_made_later(self, tmp_path: Path) -> None:
        assert OUTPUT_FILE.convert(str(tmp_path / "a" / "b" / "c"), None, None) == tmp_path / "a" / "b" / "c"

    @pytest.mark.parametrize(
        ("words", "endings"),
        [
            (["embed", "{photo}"], ".npz"),
            (["match", "{photo}", "{photo}"], ".png or .jpg or .jpeg or .webp"),
            (["label", "plot", "{photo}", "{photo}"], ".svg"),
        ],
    )
    def test_no_catalog_is_overwritten_by_a_slip(self, tmp_path: Path, words: list[str], endings: str) -> None:
        (tmp_path / "a.png").touch()
        (tmp_path / "catalog.csv").write_text("id,path\n")
        arguments = [word.format(photo=tmp_path / "a.png") for word in words]
        refused = CliRunner().invoke(commands, [*arguments, "--out", str(tmp_path / "catalog.csv")])
        assert (refused.exit_code, "catalog.csv' must end in" in refused.output) == (2, True)
        assert endings in " ".join(refused.output.split())
        assert (tmp_path / "catalog.csv").read_text() == "id,path\n"

    def test_no_compared_photo_is_overwritten(self, tmp_path: Path) -> None:
        for name in "ab":
            Image.new("RGB", (9, 9)).save(tmp_path / f"{name}.png")
        before = (tmp_path / "b.png").read_bytes()
        (tmp_path / "link.png").symlink_to("b.png")
        for out in ("b.png", "link.png"):
            photos = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
            refused = CliRunner().invoke(commands, ["match", *photos, "--out", str(tmp_path / out)])
            assert (refused.exit_code, "--out must be another file than A and B" in refused.output) == (2, True)
        assert (tmp_path / "b.png").read_bytes() == before

    def test_an_output_cannot_be_inside_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(click.BadParameter, match="file' is not a folder that may be written to"):
            OUTPUT_FILE.convert(str(tmp_path / "file" / "below" / "c"), None, None)
