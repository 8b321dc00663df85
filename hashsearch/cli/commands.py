"""The kinds of commands: all have `--log`, groups import their commands when needed, and one may be the default."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from hashsearch import telemetry


class Command(click.Command):
    """A command with `--log`, which sets up what it reports before anything else happens."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params.append(
            click.Option(
                ["--log"],
                type=click.Choice(telemetry.FORMS),
                is_eager=True,
                expose_value=False,
                callback=_configure,
                help="Form of messages on standard error.  [default: HASHSEARCH_LOG, else text on a terminal and json "
                "elsewhere]",
            )
        )

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        context.meta[_WORDS] = tuple(args)
        return super().parse_args(context, args)


_WORDS = "hashsearch.words"


def _configure(context: click.Context, _: click.Parameter, form: str | None) -> None:
    if not context.resilient_parsing:
        telemetry.configure(form, context.command_path)


def command_line() -> str:
    """The running command as a person would type it."""
    context = click.get_current_context()
    return f"{context.command_path} {shlex.join(context.meta[_WORDS])}"


class Group(click.Group):
    """Commands in sections, each as `module:name`, imported when it runs or its help is shown.

    `unlisted` commands are not in the help. Words that do not begin with a command's name are those of the `default`.
    """

    command_class = Command

    def __init__(
        self,
        *arguments: Any,
        sections: Mapping[str, Mapping[str, str]] | None = None,
        unlisted: Mapping[str, str] | None = None,
        default: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.sections = sections or {}
        self.default = default
        self._places = {name: place for section in self.sections.values() for name, place in section.items()}
        self._places |= unlisted or {}

    def list_commands(self, context: click.Context) -> list[str]:
        return [*(name for section in self.sections.values() for name in section), *self.commands]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self._places:
            return super().get_command(context, name)
        module, _, attribute = self._places[name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if self.default and not (args and self._is_own(context, args[0])):
            args = [self.default, *args]
        return super().parse_args(context, args)

    def _is_own(self, context: click.Context, word: str) -> bool:
        return word in context.help_option_names or self.get_command(context, word) is not None

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        command = self.get_command(context, self.default) if self.default else None
        if command:
            records = [option.get_help_record(context) for option in command.params if isinstance(option, click.Option)]
            with formatter.section(f"Options of {self.default}, the default"):
                formatter.write_dl([record for record in records if record])
        super().format_options(context, formatter)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[str]] = {title: list(names) for title, names in self.sections.items()}
        if self.commands:
            sections["Commands"] = list(self.commands)
        widest = max(map(len, self.list_commands(context)))
        for title, names in sections.items():
            commands = [(name, self.get_command(context, name)) for name in names]
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (name.ljust(widest), command.get_short_help_str(formatter.width - widest - 6))
                        for name, command in commands
                        if command
                    ]
                )
