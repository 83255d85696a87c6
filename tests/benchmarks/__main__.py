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
from tests.benchmarks.cold import generate_figures, help_figure
from tests.benchmarks.health import health_figures
from tests.benchmarks.host import host_figures
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
    "generate": generate_figures,
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
VERDICTS = {True: "✓", False: "missed", None: "-"}
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def table(figures: list[Figure]) -> str:
    """The figures in Markdown."""
    rows = ["| what | pm-native | peer | ratio | bar | |", "|---|---|---|---|---|---|"]
    rows += [
        f"| {item.what} | {item.ours} | {item.peer} | {item.ratio} | {item.bar} | {VERDICTS[item.reached]} |"
        for item in figures
    ]
    return "\n".join(rows)


def machine_line() -> str:
    """What the figures were measured on."""
    return f"{os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}; medians of one run."


def write_page(text: str) -> None:
    """Put the figures between their marks in docs/performance.md."""
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
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
    text = f"{machine_line()}\n\n{table(figures)}"
    print(text)
    if options.write:
        write_page(text)
    return 0 if all(figure.reached is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
