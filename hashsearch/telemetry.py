"""What a run reports: one logger, `hashsearch`, written as text for people or as JSON lines for programs.

Modules log to its children and configure nothing; the command line calls `configure`. A JSON line has the time (UTC),
the level, the message, the run's id and its command; an error also has its code, and a traceback where there is one.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from hashsearch.errors import ConfigError

LOGGER = logging.getLogger("hashsearch")
FORMS = ("text", "json")
INTERNAL = "internal_error"  # the code of an exception that is not one of this package
_FORM, _RUN, _COMMAND = "HASHSEARCH_LOG", "HASHSEARCH_RUN", "HASHSEARCH_COMMAND"


def to_stderr(line: str) -> None:
    """Write a line to whatever standard error is now."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class Log(logging.Handler):
    """Formats messages as one run's, and hands them to `sink`: standard error, above a progress bar if there is one."""

    def __init__(self, form: str, run: str, command: str) -> None:
        super().__init__()
        self.form = form
        self.run = run
        self.command = command
        self.exported = False
        self.sink: Callable[[str], object] = to_stderr

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.sink(self.format(record))
        except Exception:
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        return self._json(record) if self.form == "json" else _text(record)

    def _json(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "run": self.run,
            "command": self.command,
            "logger": record.name,
        }
        line |= {name: getattr(record, name) for name in ("code", "done", "total") if hasattr(record, name)}
        if trace := _traceback(record):
            line["traceback"] = trace
        return json.dumps(line, ensure_ascii=False, default=str)


def _text(record: logging.LogRecord) -> str:
    """The message, after the code of an error. Errors with a code of their own need no traceback."""
    code = getattr(record, "code", None)
    line = f"{code}: {record.getMessage()}" if code else record.getMessage()
    trace = _traceback(record) if code in (None, INTERNAL) else ""
    return f"{line}\n{trace}" if trace else line


def _traceback(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return "".join(traceback.format_exception(*record.exc_info)).rstrip()


def form_of(chosen: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """`text` or `json`: as chosen, else as HASHSEARCH_LOG says, else text on a terminal and JSON elsewhere."""
    form = chosen or environ.get(_FORM) or ("text" if sys.stderr.isatty() else "json")
    if form not in FORMS:
        raise ConfigError(f"{_FORM} must be one of {', '.join(FORMS)}, got '{form}'")
    return form


def configure(form: str | None = None, command: str | None = None) -> Log:
    """Write what this package logs, and the warnings of others, in one form; replaces what a former call set up.

    A process started by a command belongs to that command's run. ConfigError for an unknown form.
    """
    former = current()
    run = former.run if former else os.environ.get(_RUN) or uuid.uuid4().hex[:12]
    log = Log(form_of(form), run, command or os.environ.get(_COMMAND, ""))
    root = logging.getLogger()
    if former:
        root.removeHandler(former)
    root.addHandler(log)
    LOGGER.setLevel(logging.INFO)
    if former and former.exported:
        export(log)
    return log


def current() -> Log | None:
    """The log that `configure` set up in this process."""
    return next((handler for handler in logging.getLogger().handlers if isinstance(handler, Log)), None)


def export(log: Log) -> None:
    """Let the processes that this one starts log in the same form, as the same run and command."""
    log.exported = True
    os.environ |= {_FORM: log.form, _RUN: log.run, _COMMAND: log.command}
