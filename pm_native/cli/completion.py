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
    from pm_native.cli.report import Result, finish  # noqa: PLC0415 - not for --help

    return finish(Result(command="completion", text=completion_script(shell)))


# click's own script believes in the words of readline, which ends them at @, = and : ("api@1" is three). Here the line is
# split at spaces, and what stands before the last such character is taken off the answers, as readline wants it: it
# takes = and : for part of what is there already, and @ for part of what is to come.
_BASH = """\
_pm_native_completion() {
    local IFS=$'\\n' line=${COMP_LINE:0:COMP_POINT} words word kept= kind value
    IFS=$' \\t' read -ra words <<<"$line"
    [[ $line == *[[:blank:]] ]] && words+=("")
    word=${words[${#words[@]} - 1]}
    [[ $word == *[@=:]* ]] && kept=${word%"${word##*[@=:]}"}
    kept=${kept%@}
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            plain) COMPREPLY+=("${value#"$kept"}") ;;
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
        esac
    done < <(COMP_WORDS=$line COMP_CWORD=$((${#words[@]} - 1)) @VARIABLE@=bash_complete "$1" 2>/dev/null)
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o nosort -F _pm_native_completion pm-native
"""

# As click's own, but that no space comes between "api=" and its number.
_ZSH = """\
#compdef pm-native

_pm_native_completion() {
    local -a names described
    local kind name text space=' '
    while read -r kind && read -r name && read -r text; do
        case $kind in
            plain) if [[ $text == _ ]]; then names+=("$name"); else described+=("$name:$text"); fi ;;
            dir) _path_files -/ ;;
            file) _path_files -f ;;
        esac
    done < <(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) @VARIABLE@=zsh_complete "${words[1]}" 2>/dev/null)
    [[ ${names[1]} == *= ]] && space=
    ((${#described})) && _describe -V unsorted described -U
    ((${#names})) && compadd -U -V unsorted -S "$space" -a names
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _pm_native_completion "$@"
else
    compdef _pm_native_completion pm-native
fi
"""
_OURS = {"bash": _BASH, "zsh": _ZSH}


def completion_script(shell: str) -> str:
    """The script that lets a shell of `SHELLS` complete `pm-native`."""
    if own := _OURS.get(shell):
        return own.replace("@VARIABLE@", COMPLETION_VARIABLE)
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - for this command only

    from pm_native.cli.main import cli  # noqa: PLC0415 - main imports the commands

    found = get_completion_class(shell)
    if found is None:
        raise TypeError(f"click knows no completion for {shell}")
    return found(cli, {}, "pm-native", COMPLETION_VARIABLE).source()
