"""What a run reports, as processes with and without a terminal: text for people, JSON lines for programs."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from hashsearch import telemetry
from hashsearch.errors import ConfigError

# A command of ours with every way to end, and a step that reports how far it is.
PROGRAM = """
import logging, sys, time, warnings
import click
from hashsearch.cli.commands import Command
from hashsearch.cli.progress import Progress, Stages
from hashsearch.cli.running import notify, run_reporting_errors
from hashsearch.errors import SearchError

@click.command(cls=Command)
@click.argument("ending")
def main(ending):
    '''A command.'''
    notify("it begins")
    if ending == "progress":
        with Progress("read", "images", 40, every=0.2) as progress:
            for image in range(40):
                time.sleep(0.02)
                progress.update()
                if image == 20:
                    notify("half of them")
    if ending == "stages":
        with Stages(every=0.15) as stages:
            stages("methods", 0, 2)
            for method in range(2):
                for query in range(10):
                    time.sleep(0.03)
                    stages("queries", query + 1, 10)
                stages("methods", method + 1, 2)
    if ending == "resumed":
        with Progress("read", "images", every=0) as progress:
            progress.show(30, 40)
            time.sleep(0.1)
            progress.show(31, 40)
    if ending == "refused":
        raise SearchError("k must be 1 to 10, got 0")
    if ending == "system":
        open("/nowhere/at/all")
    if ending == "bug":
        {}["absent"]
    if ending == "usage":
        raise click.UsageError("give either IMAGE or --id")
    if ending == "others":
        warnings.warn("an old way")
        logging.getLogger("elsewhere").warning("not one of ours")
        logging.getLogger("elsewhere").info("not shown")
        logging.getLogger("hashsearch.search").info("one of ours")
    if ending == "child":
        import subprocess
        code = "from hashsearch.cli.running import notify; notify('from a child')"
        subprocess.run([sys.executable, "-c", code], check=True)
    click.echo("the result")

run_reporting_errors(main, None, "command")
"""


def run(*words: str, form: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "HASHSEARCH_LOG"} | variables
    chosen = ["--log", form] if form else []
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words, *chosen],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stderr.splitlines()]


def on_a_terminal(*words: str) -> str:
    """What a person sees of standard error, which is a terminal here."""
    environment = {name: value for name, value in os.environ.items() if name != "HASHSEARCH_LOG"}
    outside, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))  # a bar needs a width
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words], env=environment, stderr=inside, stdout=subprocess.DEVNULL
    ):
        os.close(inside)
        output = b""
        try:
            while block := os.read(outside, 4096):
                output += block
        except OSError:  # how Linux says that nobody has the terminal open any more
            pass
    os.close(outside)
    return output.decode()


class TestWithoutATerminal:
    def test_messages_are_json_lines_and_the_result_is_alone_on_standard_output(self) -> None:
        before = datetime.now(timezone.utc)
        done = run("well")
        (line,) = lines(done)
        assert (done.returncode, done.stdout) == (0, "the result\n")
        assert (line["level"], line["message"], line["command"]) == ("info", "it begins", "command")
        assert re.fullmatch(r"[0-9a-f]{12}", line["run"])
        assert before - timedelta(seconds=1) <= datetime.fromisoformat(line["time"]) <= datetime.now(timezone.utc)

    def test_each_run_has_an_id_of_its_own_which_all_its_lines_have(self) -> None:
        first, again = lines(run("refused")), lines(run("refused"))
        assert len({line["run"] for line in first}) == len({line["run"] for line in again}) == 1
        assert first[0]["run"] != again[0]["run"]

    def test_an_error_has_its_code(self) -> None:
        done = run("refused")
        error = lines(done)[-1]
        assert done.returncode == 1
        assert (error["level"], error["code"], error["message"]) == (
            "error",
            "search_error",
            "k must be 1 to 10, got 0",
        )

    def test_an_unexpected_exception_keeps_its_traceback(self) -> None:
        done = run("bug")
        error = lines(done)[-1]
        assert done.returncode == 1
        assert (error["code"], error["message"]) == ("internal_error", "KeyError: 'absent'")
        assert error["traceback"].startswith("Traceback (most recent call last):")
        assert error["traceback"].endswith("KeyError: 'absent'")

    def test_an_error_of_the_system_is_a_line_with_its_traceback(self) -> None:
        done = run("system")
        error = lines(done)[-1]
        assert (done.returncode, error["code"]) == (1, "system_error")
        assert "/nowhere/at/all" in error["message"] and "FileNotFoundError" in error["traceback"]

    def test_a_wrong_command_line_is_a_line_too(self) -> None:
        for done in (run("usage"), run("well", "--nothing")):
            error = lines(done)[-1]
            assert (done.returncode, error["code"], error["level"]) == (2, "usage_error", "error")
        assert lines(run("usage"))[-1]["message"] == "give either IMAGE or --id"

    def test_warnings_of_others_have_the_same_form(self) -> None:
        logged = lines(run("others"))
        assert [(line["level"], line["logger"]) for line in logged] == [
            ("info", "hashsearch.cli.running"),
            ("warning", "py.warnings"),
            ("warning", "elsewhere"),
            ("info", "hashsearch.search"),
        ]
        assert "an old way" in logged[1]["message"]

    def test_a_child_process_logs_as_the_same_run(self) -> None:
        own, childs = lines(run("child"))
        assert childs["message"] == "from a child"
        assert (childs["run"], childs["command"]) == (own["run"], own["command"])

    def test_progress_is_a_line_now_and_then(self) -> None:
        logged = [line for line in lines(run("progress")) if "done" in line]
        assert 1 <= len(logged) <= 4  # .8 s and more on a slow machine, one each .2 s, of 40 updates
        assert all(line["total"] == 40 for line in logged)
        assert logged[0]["message"].startswith(f"read: {logged[0]['done']} of 40 images, ")

    def test_steps_within_steps_are_lines_of_their_own(self) -> None:
        logged = [line["message"] for line in lines(run("stages")) if "done" in line]
        assert any(re.fullmatch(r"queries: \d+ of 10, [\d.]+ a second, \d+ s left", line) for line in logged), logged
        assert any(line.startswith("methods: ") for line in logged), logged

    def test_what_an_earlier_run_did_is_not_counted_as_speed(self) -> None:
        first, second = [line["message"] for line in lines(run("resumed")) if "done" in line]
        assert first == "read: 30 of 40 images, 0.0 a second"
        assert 0 < float(second.split()[5]) <= 10

    def test_text_is_chosen_by_option_or_variable(self) -> None:
        for done in (run("refused", form="text"), run("refused", HASHSEARCH_LOG="text")):
            assert done.stderr == "it begins\nsearch_error: k must be 1 to 10, got 0\n"

    def test_the_option_goes_before_the_variable(self) -> None:
        assert lines(run("well", form="json", HASHSEARCH_LOG="text"))[0]["message"] == "it begins"

    def test_a_form_that_does_not_exist_is_refused(self) -> None:
        done = run("well", HASHSEARCH_LOG="yaml")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "config_error: HASHSEARCH_LOG must be one of text, json, got 'yaml'\n"


class TestAsText:
    def test_an_unexpected_exception_shows_its_traceback(self) -> None:
        shown = run("bug", form="text").stderr
        assert shown.startswith("it begins\ninternal_error: KeyError: 'absent'\nTraceback (most recent call last):")

    def test_expected_errors_show_no_traceback(self) -> None:
        for ending in ("refused", "system", "usage"):
            assert "Traceback" not in run(ending, form="text").stderr

    def test_a_wrong_command_line_shows_the_usage(self) -> None:
        shown = run("usage", form="text").stderr
        assert "Usage: command [OPTIONS] ENDING" in shown and "Error: give either IMAGE or --id" in shown

    def test_progress_without_a_terminal_is_a_line_too(self) -> None:
        shown = run("progress", form="text").stderr
        assert re.search(r"^read: \d+ of 40 images, [\d.]+ a second, \d+ s left$", shown, re.MULTILINE)
        assert "\r" not in shown and "half of them\n" in shown


class TestOnATerminal:
    def test_messages_are_text(self) -> None:
        shown = on_a_terminal("refused")
        assert shown.replace("\r\n", "\n") == "it begins\nsearch_error: k must be 1 to 10, got 0\n"

    def test_progress_is_a_bar_and_messages_stand_above_it(self) -> None:
        shown = on_a_terminal("progress")
        assert "read: 100%" in shown and "40/40" in shown
        assert re.search(r"(^|[\r\n])half of them\r\n", shown)

    def test_steps_within_steps_are_bars_of_which_the_outermost_stays(self) -> None:
        shown = on_a_terminal("stages")
        assert "methods:" in shown and "  queries:" in shown
        assert shown.rstrip("\r\n").splitlines()[-1].startswith("methods: 100%")

    def test_no_bar_where_json_is_asked_for(self) -> None:
        shown = on_a_terminal("progress", "--log", "json")
        assert "%" not in shown
        assert all(line.startswith("{") for line in shown.splitlines() if line)


class TestTheLog:
    @pytest.fixture(autouse=True)
    def _alone(self) -> Iterator[None]:
        former = telemetry.current()
        yield
        if log := telemetry.current():
            logging.getLogger().removeHandler(log)
        if former:
            logging.getLogger().addHandler(former)

    def test_a_library_that_is_only_imported_configures_nothing(self) -> None:
        program = "import logging, hashsearch.services; print(logging.getLogger().handlers, hashsearch.Settings)"
        output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        assert output.startswith("[] ")

    def test_a_second_configuration_replaces_the_first(self, capsys: pytest.CaptureFixture[str]) -> None:
        first = telemetry.configure("json", "one")
        second = telemetry.configure("text", "two")
        logging.getLogger("hashsearch.cli").info("once")
        assert capsys.readouterr().err == "once\n"
        assert (first.run, second.command) == (second.run, "two")

    def test_the_form_is_known_by_name(self) -> None:
        assert telemetry.form_of("json", {"HASHSEARCH_LOG": "text"}) == "json"
        assert telemetry.form_of(None, {"HASHSEARCH_LOG": "text"}) == "text"
        with pytest.raises(ConfigError, match="must be one of text, json, got 'xml'"):
            telemetry.form_of("xml", {})

    def test_a_message_that_cannot_be_a_json_value_is_written_as_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        telemetry.configure("json", "one")
        logging.getLogger("hashsearch").info("at %s", Path("/a"), extra={"done": Path("/b")})
        line = json.loads(capsys.readouterr().err)
        assert (line["message"], line["done"]) == ("at /a", "/b")
