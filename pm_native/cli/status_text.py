"""The process table on a terminal, in a pipe, and as JSON."""

from __future__ import annotations

import shutil
import sys
import time

import click

from pm_native.cli.style import Style
from pm_native.errors import printable
from pm_native.monitor.words import UNKNOWN, duration_words, share_words, size_words, state_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TextIO

    from pm_native.monitor.table import UnitStatus
    from pm_native.monitor.tree import TreeProcess

    Trees = Mapping[str, Sequence[TreeProcess]]
    Shares = Mapping[str, float | None]

_STATE, _FIGURES = 1, 7  # the column of the state; how many columns there are before STATUS
_STATE_MIN = 16
_GAP = "  "


def table_text(
    tables: Mapping[str, Sequence[UnitStatus]], trees: Trees, shares: Shares | None, now_sec: float = 0.0
) -> str:
    """The table of each project with a summary; as wide as the terminal, uncut where there is none."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    printer = TablePrinter(trees, shares, now_sec or time.time(), width)
    style = printer.style
    return "\n\n".join(
        "\n".join([*printer.lines(rows), _summary(project, rows, style)]) for project, rows in tables.items()
    )


class TablePrinter:
    """Lays rows out in columns, at most `width` wide (0: as wide as they are)."""

    def __init__(self, trees: Trees, shares: Shares | None, now_sec: float, width: int) -> None:
        self.style = Style(sys.stdout)
        self._trees = trees
        self._shares = shares
        self._now_sec = now_sec
        self._width = width

    def lines(self, rows: Sequence[UnitStatus]) -> Iterator[str]:
        """The header, and each row with the tree of its processes below it."""
        header = ["PROCESS", "STATE", "PID", "UPTIME", "RESTARTS", "MEM"]
        header.append("AVG CPU" if self._shares is None else "CPU")
        cells = [self._cells(row) for row in rows]
        if any(row.status_text for row in rows):
            header.append("STATUS")
            cells = [[*line, printable(row.status_text)] for line, row in zip(cells, rows, strict=True)]
        widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
        if self._width:  # a state that is long on words gives way first
            spare = self._width - sum(widths[:_FIGURES]) - len(_GAP) * (_FIGURES - 1)
            widths[_STATE] = max(min(widths[_STATE], _STATE_MIN), widths[_STATE] + min(0, spare))
        yield self._line(header, widths, "bold", whole=True)
        for row, line in zip(rows, cells, strict=True):
            yield self._line(line, widths, _colour(row))
            yield from (self._tree_line(item) for item in self._trees.get(row.unit, ()))

    def _cells(self, row: UnitStatus) -> list[str]:
        share = row.cpu_share if self._shares is None else self._shares.get(row.unit)
        return [
            row.label,
            state_words(row, self._now_sec),
            str(row.pid) if row.pid is not None else UNKNOWN,
            duration_words(row.uptime_sec),
            str(row.restarts) if row.restarts is not None else UNKNOWN,
            ("~" if row.memory_is_sum else "") + size_words(row.memory_bytes),
            share_words(share),
        ]

    def _line(self, cells: Sequence[str], widths: Sequence[int], colour: str, *, whole: bool = False) -> str:
        shown: list[str] = []
        for column, (cell, size) in enumerate(zip(cells, widths, strict=True)):
            text = cell if len(cell) <= size else f"{cell[: size - 1]}…"
            shown.append(text.rjust(size) if _STATE < column < _FIGURES else text.ljust(size))
        plain = _GAP.join(shown).rstrip()
        if self._width and len(plain) > self._width:
            return f"{plain[: self._width - 1]}…"
        if whole:
            return self.style(plain, colour)
        state = shown[_STATE]
        shown[_STATE] = self.style(state.rstrip(), colour) + " " * (len(state) - len(state.rstrip()))
        return _GAP.join(shown).rstrip()

    def _tree_line(self, item: TreeProcess) -> str:
        cpu = UNKNOWN if item.cpu_sec is None else f"{item.cpu_sec:.1f}s"
        figures = f"{size_words(item.memory_bytes)}, {cpu} CPU, {item.user or UNKNOWN}"
        text = f"{'  ' * (item.depth + 1)}{item.pid} {printable(item.command)} ({figures})"
        return self.style(text[: self._width] if self._width else text, "dim")


def _colour(row: UnitStatus) -> str:
    if row.is_failed:
        return "red"
    if row.is_running:
        return "green"
    return "yellow" if row.wanted else "dim"


def _summary(project: str, rows: Sequence[UnitStatus], style: Style) -> str:
    wanted = [row for row in rows if row.wanted]
    running = sum(row.is_running for row in wanted)
    failed = sum(row.is_failed for row in rows)
    words = f"{project}: {running} of {len(wanted)} up"
    return words + (", " + style(f"{failed} failed", "bold", "red") if failed else "")


def row_data(
    row: UnitStatus, tree: Sequence[TreeProcess] | None, shares: Shares | None
) -> dict[str, object]:
    """A row for programs: base units, null for what is not known."""
    data: dict[str, object] = {
        "process": row.process,
        "name": row.label,
        "unit": row.unit,
        "where": row.where,
        "wanted": row.wanted,
        "failed": row.is_failed,
        "load_state": row.load_state,
        "active_state": row.active_state,
        "sub_state": row.sub_state,
        "job": row.job or None,
        "result": row.result or None,
        "exit": row.exit or None,
        "status": row.status_text or None,
        "pid": row.pid,
        "uptime_seconds": row.uptime_sec,
        "restarts": row.restarts,
        "memory_bytes": row.memory_bytes,
        "memory_source": None
        if row.memory_bytes is None
        else "processes"
        if row.memory_is_sum
        else "cgroup",
        "cpu_seconds": None if row.cpu_usec is None else row.cpu_usec / 1e6,
        "cpu_share": row.cpu_share if shares is None else shares.get(row.unit),
        "cpu_share_of": "lifetime" if shares is None else "interval",
        "timer": None
        if row.timer is None
        else {
            "unit": row.timer.unit,
            "active_state": row.timer.active_state,
            "next_elapse": row.timer.next_elapse_sec,
        },
    }
    if tree is not None:
        data["tree"] = [
            {
                "pid": item.pid,
                "depth": item.depth,
                "command": item.command,
                "user": item.user,
                "memory_bytes": item.memory_bytes,
                "cpu_seconds": item.cpu_sec,
            }
            for item in tree
        ]
    return data


class Screen:
    """Shows one text after the other: in place on a terminal, one below the other elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._in_place = stream.isatty()
        self._shown = 0

    def show(self, text: str) -> None:
        """Show a text instead of the last one; what has no room on the terminal is counted."""
        if not self._in_place:
            click.echo(f"\n{text}" if self._shown else text)
            self._shown += 1
            return
        lines = text.split("\n")
        height = shutil.get_terminal_size().lines - 1
        if len(lines) > height:
            lines = [*lines[: height - 1], f"and {len(lines) - height + 1} more lines"]
        # Home, each line with what is left of the old one erased, then all below: nothing flickers.
        start = "\x1b[H" if self._shown else "\x1b[2J\x1b[H"
        click.echo(start + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J", nl=False, color=True)
        self._shown += 1
