"""`--settle`, `--timeout`, `--wait`, `--cancel-on-interrupt`: how apply, rollback and remove go about it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pm_native.apply.outcome import RunOptions
    from pm_native.state.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFlags:
    """What the command line says; its time began when it was read."""

    settle_sec: float
    timeout_sec: float | None
    wait: bool
    cancel_queued: bool
    began: float = field(default_factory=time.monotonic)

    def options(self, command: str, *, allow_missing: bool = True) -> RunOptions:
        """The options of a run, with the time that is left; `command` is what the history says was run."""
        from pm_native.apply.outcome import RunOptions  # noqa: PLC0415 - not for --help

        left = None if self.timeout_sec is None else self.began + self.timeout_sec - time.monotonic()
        return RunOptions(
            settle_sec=self.settle_sec,
            timeout_sec=None if left is None else max(0.0, left),
            cancel_queued=self.cancel_queued,
            allow_missing=allow_missing,
            command=command,
        )

    @contextmanager
    def lock(self, layout: Layout, project: str, command: str, *, dry_run: bool = False) -> Iterator[None]:
        """Hold the lock of a project, waited for where the command line says so; LockedError names who holds it.

        Who changes nothing needs none.
        """
        if dry_run:
            yield
            return
        from pm_native.cli.options import check_session  # noqa: PLC0415 - not for --help
        from pm_native.cli.report import Messages  # noqa: PLC0415 - not for --help
        from pm_native.state.lock import locked  # noqa: PLC0415 - not for --help

        check_session(layout)
        until: float | None = 0.0
        if self.wait:
            until = None if self.timeout_sec is None else self.began + self.timeout_sec
        messages = Messages()
        with locked(
            layout.lock(project),
            command,
            until=until,
            on_wait=lambda holder: messages.say(f"{holder}: waiting for its end"),
        ):
            yield


def with_settle(
    seconds: float, words: str = "How long what was started is watched."
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """`--settle`, which is so many seconds where it is not given."""
    return click.option(
        "--settle",
        type=click.FloatRange(0, 600),
        default=seconds,
        show_default=True,
        metavar="SECONDS",
        help=words,
    )


def with_dry_run(function: Callable[..., int]) -> Callable[..., int]:
    """`--dry-run`: the plan alone; the command gets it as `dry_run`."""
    return click.option("--dry-run", is_flag=True, help="Show the plan, as `plan` does; change nothing.")(
        function
    )


def with_run_options(function: Callable[..., int]) -> Callable[..., int]:
    """The options that the commands share; the command gets them as `flags`."""

    @wraps(function)  # carries the options that were declared below, too
    def collect(
        *args: object,
        settle: float,
        timeout: float | None,
        wait: bool,
        cancel_on_interrupt: bool,
        **rest: object,
    ) -> int:
        flags = RunFlags(
            settle_sec=settle, timeout_sec=timeout, wait=wait, cancel_queued=cancel_on_interrupt
        )
        return function(*args, flags=flags, **rest)

    declared = (
        with_settle(1.3),
        click.option(
            "--timeout",
            type=click.FloatRange(0, min_open=True),
            metavar="SECONDS",
            help="End after so long; jobs that are queued go on in systemd.",
        ),
        click.option("--wait", is_flag=True, help="Wait while another run changes the project."),
        click.option(
            "--cancel-on-interrupt",
            is_flag=True,
            help="Take queued jobs back at Ctrl-C or at the end of --timeout.",
        ),
    )
    wrapped: Callable[..., int] = collect
    for option in reversed(declared):
        wrapped = option(wrapped)
    return wrapped
