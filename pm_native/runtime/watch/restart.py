"""Restarting what runs: by systemctl, and never what somebody has stopped."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Tell = Callable[[str, tuple[str, ...]], None]
    # Runs systemctl with these words, and calls back with whether it went well and what it wrote.
    Run = Callable[[list[str], Callable[[bool, str], None]], None]
    Units = list[Mapping[str, str]]

_TIMES = (
    "ExecMainStartTimestampMonotonic",
    "ActiveExitTimestampMonotonic",
    "ExecMainExitTimestampMonotonic",
)
PROPERTIES = ("Id", "LoadState", "ActiveState", "Result", *_TIMES)
_RUNNING = ("active", "reloading", "refreshing")
# How a service ends by itself, among the results of failed ones (systemd.exec(5), $SERVICE_RESULT).
_BY_ITSELF = ("exit-code", "signal", "core-dump")


def parse_show(text: str) -> Units:
    """The units in the output of `systemctl show`, which has them in no order."""
    blocks = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in text.split("\n\n")]
    units = [block for block in blocks if "Id" in block]
    return sorted(units, key=lambda unit: (len(unit["Id"]), unit["Id"]))  # 2 before 10


def verb_for(unit: Mapping[str, str]) -> str:
    """What gives a unit its new files: `try-restart`, `restart`, or "" where it is to stay as it is.

    What waits for its restart, or for being ready, is restarted now. What has failed is started, since the change may
    be what mends it. What somebody stopped stays so, also where it failed while it was being stopped.
    """
    state = unit.get("ActiveState", "")
    if unit.get("LoadState") != "loaded":
        return ""
    if state in _RUNNING:
        return "try-restart"
    if state == "activating" or (state == "failed" and not was_stopped(unit)):
        return "restart"
    return ""


def was_stopped(unit: Mapping[str, str]) -> bool:
    """Whether a failed unit was asked to end: then it left its active state before its main process ended, not after."""
    began, left, ended = (int(unit.get(name) or 0) for name in _TIMES)
    return unit.get("Result") in _BY_ITSELF and began <= left < ended


class Restarter:
    """Restarts units, one command of systemctl after the other; `tell` says what, about which units."""

    def __init__(self, run: Run, unit: str, tell: Tell, *, one_by_one: bool = False) -> None:
        self._run = run
        self._unit = unit
        self._tell = tell
        self._one_by_one = one_by_one
        self._steps: list[list[str]] = []
        self._done: Callable[[], None] = lambda: None
        self.is_busy = False

    def restart(self, why: str, done: Callable[[], None]) -> None:
        """Restart what runs, say why, and call `done`."""
        self.is_busy = True
        self._done = done
        words = ["show", f"--property={','.join(PROPERTIES)}", "--", self._unit]
        self._run(words, lambda is_well, text: self._found(why, is_well, text))

    def _found(self, why: str, is_well: bool, text: str) -> None:  # noqa: FBT001 - a command's result
        units = parse_show(text) if is_well else []
        verbs = {unit["Id"]: verb for unit in units if (verb := verb_for(unit))}
        names = tuple(verbs)
        if not is_well:
            self._tell(f"{why}: systemd cannot be asked: {text}", ())
        elif not verbs:
            self._tell(f"{why}: nothing is restarted, {self._unit} does not run", ())
        else:
            self._tell(f"{why}: restarting {', '.join(names)}", names)
            self._steps = list(self._steps_for(verbs))
        self._next()

    def _steps_for(self, verbs: Mapping[str, str]) -> list[list[str]]:
        """The commands. Failures of before are forgotten: saved mistakes must not use up the start limit."""
        names = list(verbs)
        if self._one_by_one:
            each = ([["reset-failed", "--", name], [verbs[name], "--", name]] for name in names)
            return [words for pair in each for words in pair]
        steps = [["reset-failed", "--", *names]]
        by_verb = {verb: [name for name in names if verbs[name] == verb] for verb in verbs.values()}
        return [*steps, *([verb, "--no-block", "--", *chosen] for verb, chosen in by_verb.items())]

    def _next(self) -> None:
        if not self._steps:
            self.is_busy = False
            self._done()
            return
        words = self._steps.pop(0)
        self._run(words, lambda is_well, text: self._ran(words, is_well, text))

    def _ran(self, words: list[str], is_well: bool, text: str) -> None:  # noqa: FBT001 - a command's result
        if not is_well:
            names = tuple(words[words.index("--") + 1 :])
            left = (
                [step[-1] for step in self._steps if step[0] != "reset-failed"] if self._one_by_one else []
            )
            rest = f"; left as they are: {', '.join(left)}" if left else ""
            said = text.partition("\n")[0].rstrip(".")
            self._tell(f"systemctl {words[0]} {' '.join(names)}: {said}{rest}", names)
            self._steps.clear()
        self._next()
