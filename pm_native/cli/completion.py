"""`pm-native completion`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click

from pm_native.cli.commands import COMPLETION_VARIABLE

SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog="""\b
Examples:
  pm-native completion bash > /etc/bash_completion.d/pm-native
  pm-native completion zsh > "${fpath[1]}/_pm-native"
  pm-native completion fish > ~/.config/fish/completions/pm-native.fish"""
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(*, shell: str) -> int:
    """Print the completion script of a shell."""
    click.echo(completion_script(shell))
    return 0


def completion_script(shell: str) -> str:
    """The script that lets a shell of `SHELLS` complete `pm-native`."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - for this command only

    from pm_native.cli.main import cli  # noqa: PLC0415 - main imports the commands

    found = get_completion_class(shell)
    if found is None:
        raise TypeError(f"click knows no completion for {shell}")
    return found(cli, {}, "pm-native", COMPLETION_VARIABLE).source()
