"""The command line by click: finds the command, catches every failure once, picks the exit code."""

from __future__ import annotations

import os
import sys

import click

from pm_native.cli.commands import COMMANDS, COMPLETION_VARIABLE, HELP, module_of
from pm_native.errors import ExitCode, PmNativeError, UnavailableError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """Imports the module of a command when the command runs, and suggests names."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All commands, in the order of a first day's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """The command of this name, None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module  # noqa: PLC0415 - for a command only

        name = module_of(cmd_name)
        command = getattr(import_module(f"pm_native.cli.{name}"), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"pm_native.cli.{cmd_name} has no command of its own name")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, with a suggestion for a name that is nearly right."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], COMMANDS)
            raise click.UsageError(f"there is no command {args[0]!r}{f'; {hint}' if hint else ''}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin so, from their table: click would import each of them."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - for a shell only

        commands = [(name, text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=text) for name, text in commands), *options]

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002 - as above
        """The help that the console script prints without click, too."""
        return HELP.rstrip("\n")


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if value:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and for --version only

        click.echo(f"pm-native {version('pm-native')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the version.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Turn process-manager configs into systemd units, and switch to them safely."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str]) -> int:
    """The exit code of one command line; prints, but never exits."""
    from pm_native.cli.report import Presentation, failure  # noqa: PLC0415 - keeps `--help` light

    shown = Presentation(as_root=_as_root(arguments))
    try:
        code = cli.main(args=list(arguments), prog_name="pm-native", standalone_mode=False, obj=shown)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo(err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter's own flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except PmNativeError as error:
        return failure(error, shown)
    except OSError as error:
        if error.filename is None:
            raise  # no file of the host's, but a mistake of ours
        return failure(UnavailableError(f"cannot use {error.filename}: {error.strerror}"), shown)
    return code if isinstance(code, int) else ExitCode.OK


def _as_root(arguments: Sequence[str]) -> str:
    """The command line behind sudo, where that is another and means the same."""
    if os.geteuid() == 0 or "--user" in arguments:
        return ""
    import shlex  # noqa: PLC0415 - not for --help

    # sudo has a PATH of its own: the program is named as it was found.
    program = [sys.executable, "-m", "pm_native"] if sys.argv[0].endswith("__main__.py") else [sys.argv[0]]
    return f"sudo {shlex.join([*program, *arguments])}"


def run_process() -> None:
    """Run the command line of this process, or complete one for a shell, and exit."""
    _open_standard_streams()
    if COMPLETION_VARIABLE in os.environ:
        cli.main(prog_name="pm-native", complete_var=COMPLETION_VARIABLE)
    _leave(run(sys.argv[1:]))


def _open_standard_streams() -> None:
    """Have those that whoever started us has closed lead nowhere: the next file to be opened would take their place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: PTH123, SIM115 - open to the end


def _leave(code: int) -> NoReturn:
    """End the process as it is: taking the interpreter apart would be a tenth of the time of a short command."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        os._exit(code)  # whoever read our output has seen enough
    except OSError as error:
        os.write(2, f"error: cannot write the output: {error.strerror}\n".encode())
        os._exit(code or ExitCode.FAILURE)
    os._exit(code)
