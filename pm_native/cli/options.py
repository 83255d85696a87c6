"""The options that commands share, and what they mean together."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import click

from pm_native.cli.report import FORMATS, Presentation
from pm_native.errors import UnavailableError, UsageError
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pm_native.state.layout import Layout
    from pm_native.state.trust import Trust

DEFAULT_OUTPUT = "build/systemd"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Which config is read, and how."""

    file: Path | None
    more_files: tuple[Path, ...] = ()
    project_name: str | None
    variant: str | None
    profiles: tuple[str, ...] = ()
    dialect: str | None = None
    formation: dict[str, int]
    base_port: int | None
    strict: bool
    allow_missing: bool
    systemd_version: str


def parse_formation(text: str) -> dict[str, int]:
    """`web=2,worker=1` as counts by process name, as foreman's -m and honcho's -c take it."""
    counts: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        name, equals, count = part.strip().partition("=")
        if not equals or not name or not count.isdecimal():
            raise UsageError(f"not a formation: {part!r}", hint="as in --formation web=2,worker=1")
        counts[name] = int(count)
    return counts


DIALECTS = ("foreman", "honcho", "overmind")
_FOREIGN_OPTIONS = (
    click.option("--project", "project_name", help="The name of the project, over what the config says."),
    click.option("--env", "variant", help="PM2: lay env_NAME over env."),
    click.option(
        "--profile",
        "profiles",
        multiple=True,
        metavar="NAME",
        help="compose: take in what has this profile.",
    ),
    click.option(
        "--dialect", type=click.Choice(DIALECTS), help="Procfile: whose it is, where the tools differ."
    ),
    click.option(
        "--formation", default="", metavar="NAME=N,...", help="Procfile: instances of each process."
    ),
    click.option("--base-port", type=click.IntRange(1, 65535), help="Procfile: the first PORT (5000)."),
    click.option("--strict", is_flag=True, help="Take warnings as errors."),
)
_SOURCE_OPTIONS = (
    click.option(
        "-f",
        "--file",
        "files",
        type=click.Path(path_type=Path),
        multiple=True,
        help="The config; else the one in this folder. compose, process-compose: more are laid over the first.",
    ),
    *_FOREIGN_OPTIONS,
    click.option("--allow-missing", is_flag=True, help="Warn of programs and users that this host lacks."),
    click.option(
        "--systemd-version",
        default="auto",
        metavar="auto|N",
        help="The systemd to compile for (this host's).",
    ),
)


def with_source(function: Callable[..., int]) -> Callable[..., int]:
    """The options of commands that read a config; the command gets them as `source`."""
    return _collected(function, _SOURCE_OPTIONS)


def with_foreign(function: Callable[..., int]) -> Callable[..., int]:
    """The options that say how a foreign config is read; the command gets them as `source`, without a file."""
    return _collected(function, _FOREIGN_OPTIONS)


def _collected(
    function: Callable[..., int], options: Sequence[Callable[[Callable[..., int]], Callable[..., int]]]
) -> Callable[..., int]:
    @wraps(function)  # carries the options that were declared below, too
    def collect(  # noqa: PLR0913 - one per option
        *args: object,
        project_name: str | None,
        variant: str | None,
        profiles: tuple[str, ...],
        dialect: str | None,
        formation: str,
        base_port: int | None,
        strict: bool,
        files: tuple[Path, ...] = (),
        allow_missing: bool = True,
        systemd_version: str = "auto",
        **rest: object,
    ) -> int:
        source = SourceOptions(
            file=files[0] if files else None,
            more_files=files[1:],
            project_name=project_name,
            variant=variant,
            profiles=profiles,
            dialect=dialect,
            formation=parse_formation(formation),
            base_port=base_port,
            strict=strict,
            allow_missing=allow_missing,
            systemd_version=systemd_version,
        )
        return function(*args, source=source, **rest)

    wrapped: Callable[..., int] = collect
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def _speak(ctx: click.Context, parameter: click.Parameter, value: object) -> None:
    shown = ctx.find_root().obj
    if isinstance(shown, Presentation):
        shown.command = ctx.info_name or ""
        setattr(shown, str(parameter.name), value)


def with_format(function: Callable[..., int]) -> Callable[..., int]:
    """`--format`, how diagnostics are printed."""
    return click.option(
        "--format",
        "diagnostic_format",
        type=click.Choice(FORMATS),
        default="full",
        help="How problems are printed.",
        expose_value=False,
        is_eager=True,
        callback=_speak,
    )(function)


def with_json(function: Callable[..., int]) -> Callable[..., int]:
    """`--json`, the envelope instead of text."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print one JSON envelope.",
        expose_value=False,
        is_eager=True,
        callback=_speak,
    )(function)


def with_scope(function: Callable[..., int]) -> Callable[..., int]:
    """`--user` and `--root`: which systemd; the command gets them as `scope` and `root`."""

    @wraps(function)  # carries the options that were declared below, too
    def collect(*args: object, user: bool, root: Path | None, **rest: object) -> int:
        return function(*args, scope=Scope.USER if user else Scope.SYSTEM, root=root, **rest)

    user = click.option("--user/--system", default=False, help="Your own service manager, or the system's.")
    root = click.option(
        "--root",
        type=click.Path(path_type=Path, file_okay=False),
        help="Work on the host below this folder, offline.",
    )
    return user(root(collect))


def with_runtime(function: Callable[..., int]) -> Callable[..., int]:
    """`--runtime`: what is applied is gone at the next boot; the command gets it as `runtime`."""
    words = "Install below /run: all of it is gone at the next boot."
    return click.option("--runtime", is_flag=True, help=words)(function)


def target_of(scope: Scope, root: Path | None, *, runtime: bool) -> Layout:
    """The layout that is applied to; UsageError for a host that does not run, and has no /run."""
    if not runtime:
        return layout_of(scope, root)
    if root is not None:
        raise UsageError(
            "--runtime and --root exclude each other", hint="a host that does not run has no /run"
        )
    return layout_of(scope, None).until_reboot()


def caller_trust() -> Trust:
    """Whose files the caller acts on."""
    from pm_native.state.trust import Trust  # noqa: PLC0415 - not for --help

    return Trust.of_caller(os.environ, os.geteuid())


def check_session(layout: Layout) -> None:
    """UnavailableError where the manager of a user could not run: there is not even the folder of its runtime files."""
    if layout.scope is Scope.USER and layout.root == Path("/") and not layout.runtime.is_dir():
        hint = "log in as that user, or run `loginctl enable-linger USER`"
        raise UnavailableError(f"there is no {layout.runtime}: this user has no service manager", hint=hint)


def layout_of(scope: Scope, root: Path | None) -> Layout:
    """The layout of what `with_scope` gave; UsageError where the root's folders are links that lead out of it."""
    from pm_native.state.layout import system_layout, user_layout  # noqa: PLC0415 - not for --help

    if root is None:
        return system_layout() if scope is Scope.SYSTEM else user_layout(os.environ)
    if not root.is_dir():
        raise UsageError(f"--root: there is no folder {root}")
    base = root.resolve()
    layout = system_layout(base) if scope is Scope.SYSTEM else user_layout(os.environ, base)
    layout.check_within(layout.units, layout.environments, layout.projects, layout.runtime)
    return layout
