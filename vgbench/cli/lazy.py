"""Groups of commands that are imported when they are used, so that help is instant."""

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group of commands that are imported on first use.

    Args:
        lazy: Name to (`module:attribute`, one line of help), in the order of a first session.
        settings: Passed on to click.
    """

    def __init__(self, *, lazy: Mapping[str, tuple[str, str]], **settings: Any) -> None:
        super().__init__(**settings)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the command names in the order of a first session."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns the command, importing its module."""
        if cmd_name not in self._lazy:
            return None
        module, _, name = self._lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Returns the command that the words name.

        Raises:
            click.UsageError: If there is none; suggests the nearest.
        """
        if args and args[0] not in self._lazy and not args[0].startswith("-"):
            guesses = difflib.get_close_matches(args[0], self._lazy, n=1, cutoff=0.5)
            hint = f" Did you mean '{guesses[0]}'?" if guesses else ""
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._lazy.items()])
