"""Where the checks of a program are made from: as whom, in which namespaces, with what environment."""

from __future__ import annotations

from pm_native.runtime.spawn import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Beside:
    """In the program's own unit: a monitor that was forked off before the program ran is there already."""

    is_shared = False

    def __init__(self, environment: dict[bytes, bytes], oom_score: int | None = None) -> None:
        self._environment = environment
        self._oom_score = oom_score

    def __enter__(self) -> Self:
        """Nothing to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to do."""

    def path(self, path: str) -> str:
        """The path as it is."""
        return path

    def run(self, words: list[str], output: int, more: dict[bytes, bytes] | None = None) -> int:
        """Start a command as the program would, with the program's OOM score and not that of the monitor."""
        pid = spawn(words, self._environment | (more or {}), output)
        if self._oom_score is not None:
            try:
                with open(f"/proc/{pid}/oom_score_adj", "wb", buffering=0) as file:  # noqa: PTH123 - pathlib is heavy
                    file.write(b"%d" % self._oom_score)
            except OSError:
                return pid  # it has ended, or is another user's by now
        return pid

    def ask(self, words: list[str], output: int) -> int:
        """Start a command of systemd's."""
        return spawn(words, self._environment, output)
