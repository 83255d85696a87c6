"""Five million messages through one broker: all arrive, once and in order, and its memory stays what it was."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path

from pm_native.runtime import ipc
from tests.benchmarks.measure import Figure
from tests.benchmarks.messages.figures import MODULE, PLAIN, TOPIC, Stack, broker, program
from tests.benchmarks.messages.ours import WINDOW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.messages.figures import Program

PUBLISHED, CALLS = 4_000_000, 500_000  # a call and its answer are two
MESSAGES = PUBLISHED + 2 * CALLS
GROWTH_MIB = 1.0
SAMPLE_SEC = 0.5


def resident(pid: int) -> float:
    """The memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def soak_figure(scratch: Path) -> Iterator[Figure]:
    """Memory of the broker after a tenth of the time, and at its most from then on; the counts are held to."""
    path = str(scratch / "soak")
    roles = [sys.executable, "-m", MODULE, "ours"]
    with ExitStack() as running:

        def start(role: str, *words: str, name: str) -> Program:
            command = program(*roles, role, path, *words, environment=PLAIN, name=name)
            return running.enter_context(command)

        carrying = running.enter_context(broker(Stack("stdlib", "ours", PLAIN), TOPIC, path))
        start("answer", name="worker").line()
        start("soak_listen", name="cache").line()
        begin = time.perf_counter()
        loads = [
            start("soak_publish", str(PUBLISHED), name="web"),
            start("soak_ask", str(CALLS), name="shop"),
        ]
        samples = [resident(carrying.pid)]
        for load in loads:
            while not load.has_said(SAMPLE_SEC):
                samples.append(resident(carrying.pid))
            load.line()
        seconds = time.perf_counter() - begin
        with ipc.connect(path) as client:
            found = client.peers()
        samples.append(resident(carrying.pid))
    assert isinstance(found, dict)
    counts = found["broker"]
    carried = (
        counts["published"] - PUBLISHED * 10 // WINDOW,
        counts["calls"],
        counts["replies"],
        counts["dropped"],
    )
    assert carried == (PUBLISHED, CALLS, CALLS, 0), counts
    early = samples[len(samples) // 10]
    most = max(samples[len(samples) // 10 :])
    yield Figure(
        f"memory of the broker over {MESSAGES:,} messages",
        f"{early:.1f} MiB, then at most {most:.1f} MiB",
        f"{MESSAGES / seconds:,.0f} messages/s, all arrived, once and in order",
        f"{most / early:.2f}",
        f"+{GROWTH_MIB:.0f} MiB",
        most - early <= GROWTH_MIB,
    )
