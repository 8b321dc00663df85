"""Running a command as a process: what goes wrong becomes one line with its code, and an exit code."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import click

from hashsearch import telemetry
from hashsearch.errors import ChangesNotAccepted, HashsearchError

EXIT_FAILED, EXIT_REJECTS, EXIT_NOT_ACCEPTED = 1, 3, 5  # 2 is click's own, for a wrong command line
_log = logging.getLogger(__name__)


def notify(sentence: str) -> None:
    """Log a sentence for whoever waits; results that programs read go to standard output instead.

    Also in a process that a command started, which logs as its parent does.
    """
    if telemetry.current() is None:
        telemetry.configure()
    _log.info("%s", sentence)


def run_reporting_errors(command: click.Command, words: Sequence[str] | None = None, name: str | None = None) -> None:
    """Run a command with these words, by default the process's own, and end the process with its exit code.

    That is 1 when it failed, 2 for a wrong command line and 5 for changes that must be accepted. An error of this
    package or of the system is one line, any other one has its traceback.
    """
    warnings.filterwarnings("ignore", module="PIL")  # of damage that either becomes an error of ours or does not matter
    logging.captureWarnings(True)
    try:
        _start_log(name or Path(sys.argv[0]).stem)
        code = command.main(words, prog_name=name, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        _report_usage(error)
        sys.exit(error.exit_code)
    except click.Abort:
        _log.error("interrupted")
    except ChangesNotAccepted as error:
        _log.error("%s", error, exc_info=True, extra={"code": error.code})
        sys.exit(EXIT_NOT_ACCEPTED)
    except HashsearchError as error:
        _log.error("%s", error, exc_info=True, extra={"code": error.code})
    except OSError as error:
        _log.error("%s", error, exc_info=True, extra={"code": "system_error"})
    except Exception as error:
        _log.error("%s: %s", type(error).__name__, error, exc_info=True, extra={"code": telemetry.INTERNAL})
    sys.exit(EXIT_FAILED)


def _start_log(command: str) -> None:
    try:
        telemetry.export(telemetry.configure(command=command))
    except HashsearchError:
        telemetry.configure("text", command)
        raise


def _report_usage(error: click.ClickException) -> None:
    log = telemetry.current()
    if log and log.form == "json":
        _log.error("%s", error.format_message(), extra={"code": "usage_error"})
    else:
        error.show()
