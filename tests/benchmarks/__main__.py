"""`make bench`: measures, prints the table, and with `--write` puts it into docs/performance.md.

`make bench ARGS="help generate"` runs a part. Exit code 1 when a bar was missed.
"""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.booted import job_figures, restart_figure, status_figure, switch_figures
from tests.benchmarks.cold import completion_figure, generate_figures, help_figure
from tests.benchmarks.health import health_figures
from tests.benchmarks.host import host_figures
from tests.benchmarks.imports import import_figures
from tests.benchmarks.measure import CHECKOUT
from tests.benchmarks.messages.booted import broker_figures
from tests.benchmarks.messages.figures import message_figures
from tests.benchmarks.messages.soak import soak_figure
from tests.benchmarks.rolling import kill_figures, rolling_figures
from tests.benchmarks.watch import watch_figures
from tests.machine.harness import MachineUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.measure import Figure

BENCHMARKS: dict[str, Callable[[Path], Iterator[Figure]]] = {
    "help": help_figure,
    "completion": completion_figure,
    "generate": generate_figures,
    "imports": import_figures,
    "jobs": job_figures,
    "status": status_figure,
    "rolling": rolling_figures,
    "kills": kill_figures,
    "restart": restart_figure,
    "switch": switch_figures,
    "health": health_figures,
    "host": host_figures,
    "watch": watch_figures,
    "messages": message_figures,
    "soak": soak_figure,
    "broker": broker_figures,
}
PAGE = CHECKOUT / "docs" / "performance.md"
# Files in memory where that can be: no benchmark is about the disk, and a disk is never twice the same.
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
HEAD = ("| what | pm-native | peer | ratio | bar | |", "|---|---|---|---|---|---|")
VERDICTS = {True: "✓", False: "missed", None: "-"}
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def rows_of(figures: list[Figure]) -> list[str]:
    """The figures as rows of Markdown."""
    return [
        f"| {item.what} | {item.ours} | {item.peer} | {item.ratio} | {item.bar} | {VERDICTS[item.reached]} |"
        for item in figures
    ]


def table(rows: list[str]) -> str:
    """The rows under their head."""
    return "\n".join([*HEAD, *rows])


def with_others(rows: list[str], page: str) -> list[str]:
    """The rows of the page, with these in the place of those that say the same, or at the end."""
    subjects = {subject(row) for row in rows}
    old = [line for line in page.splitlines() if line.startswith("| ") and line not in HEAD]
    place = next((index for index, row in enumerate(old) if subject(row) in subjects), len(old))
    before, after = (
        [row for row in part if subject(row) not in subjects] for part in (old[:place], old[place:])
    )
    return [*before, *rows, *after]


def subject(row: str) -> str:
    """What a row is about: its first cell."""
    return row.split(" | ", maxsplit=1)[0]


def machine_line() -> str:
    """What the figures were measured on."""
    return f"{os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}; medians, rows of a kind of one run."


def write_page(rows: list[str]) -> None:
    """Put the rows between the marks in docs/performance.md; what was not measured stays."""
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    old, _, tail = rest.partition(END)
    text = f"{machine_line()}\n\n{table(with_others(rows, old))}"
    PAGE.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}", encoding="utf-8")


def main() -> int:
    """Run the benchmarks that are named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    unknown = set(options.names) - BENCHMARKS.keys()
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    # As pip leaves an installed package: without, each run would compile what it imports.
    if not compileall.compile_dir(CHECKOUT / "pm_native", quiet=1):
        parser.error("pm_native does not compile")
    figures: list[Figure] = []
    scratch = Path(tempfile.mkdtemp(prefix="pm-native-bench-", dir=SCRATCH))
    try:
        for name in options.names or BENCHMARKS:
            try:
                for figure in BENCHMARKS[name](scratch):
                    figures.append(figure)
                    print(
                        f"{figure.what}: {figure.ours}, peer {figure.peer}, ratio {figure.ratio}",
                        file=sys.stderr,
                    )
            except MachineUnavailableError as error:
                print(f"{name}: left out: {error}", file=sys.stderr)
    finally:
        shutil.rmtree(scratch)
    rows = rows_of(figures)
    print(f"{machine_line()}\n\n{table(rows)}")
    if options.write:
        write_page(rows)
    return 0 if all(figure.reached is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
