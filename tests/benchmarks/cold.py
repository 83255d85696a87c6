"""Figures that need no running systemd: help, and generating a thousand and ten thousand processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.measure import Command, Figure, interleave, milliseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PM_NATIVE = str(Path(sys.executable).parent / "pm-native")
HONCHO = str(Path(sys.executable).parent / "honcho")
MEBIBYTE = 1024 * 1024
COMPLETED = 50


def help_figure(_: Path) -> Iterator[Figure]:
    """`pm-native --help` against the interpreter alone."""
    floor = Command("python3 -c pass", [sys.executable, "-c", "pass"])
    ours = Command("pm-native --help", [PM_NATIVE, "--help"])
    interleave([floor, ours], rounds=41, warm_ups=3)
    yield Figure(
        "`pm-native --help`",
        milliseconds(ours.median),
        f"{milliseconds(floor.median)} (python3 -c pass)",
        f"{ours.median / floor.median:.2f}",
        "3.5",
        ours.median <= 3.5 * floor.median,
    )


def completion_figure(scratch: Path) -> Iterator[Figure]:
    """What a TAB behind `pm-native restart --user` waits for, with the processes of a project to offer.

    100 ms are felt as at once, and are more than ten times the interpreter alone.
    """
    home = scratch / "completion"
    home.mkdir()
    config = "".join(f'[process.web{number}]\ncommand = "sleep 1"\n' for number in range(COMPLETED))
    (home / "pm-native.toml").write_text(
        f'[project]\nname = "bench"\ndirectory = "/"\n{config}', encoding="utf-8"
    )
    state = {"HOME": str(home), "PATH": os.environ["PATH"]}
    words = ["apply", "-f", "pm-native.toml", "--user", "--root", "/"]
    subprocess.run([PM_NATIVE, *words], cwd=home, env=state, check=True, capture_output=True)
    asked = {"_PM_NATIVE_COMPLETE": "bash_complete", "COMP_WORDS": "pm-native restart --user web"}
    environment = {**state, **asked, "COMP_CWORD": "3"}
    said = subprocess.run([PM_NATIVE], env=environment, capture_output=True, text=True, check=True).stdout
    offered = sorted(f"plain,web{number}" for number in range(COMPLETED))
    assert said.splitlines() == offered, said
    floor = Command("python3 -c pass", [sys.executable, "-c", "pass"])
    ours = Command("completion", [PM_NATIVE], environment=environment)
    interleave([floor, ours], rounds=41, warm_ups=3)
    yield Figure(
        f"completing the name of one of {COMPLETED} processes",
        milliseconds(ours.median),
        f"{milliseconds(floor.median)} (python3 -c pass)",
        f"{ours.median / floor.median:.2f}",
        "10",
        ours.median <= 10 * floor.median,
    )


def write_procfile(directory: Path, count: int) -> None:
    """A Procfile of so many processes, with all that makes work: quotes, ports, shells."""
    directory.mkdir(parents=True)
    lines = [
        f"p{number}: sleep {number}"
        if number % 3
        else f"p{number}: sh -c 'echo \"$PORT\" && exec sleep {number}'"
        for number in range(count)
    ]
    (directory / "Procfile").write_text("\n".join(lines) + "\n", encoding="utf-8")


def generate_figures(scratch: Path) -> Iterator[Figure]:
    """`pm-native generate` of a Procfile against those who export the same one."""
    small, large = scratch / "thousand", scratch / "ten-thousand"
    write_procfile(small, 1000)
    write_procfile(large, 10_000)
    ours = _generate(small, 1000)
    peers = {"foreman": _foreman(small), "honcho": _honcho(small)}
    interleave([ours, *(peer for peer in peers.values() if peer is not None)], rounds=9)
    for name, peer in peers.items():
        yield Figure(
            "`generate` for 1,000 processes",
            milliseconds(ours.median),
            f"{milliseconds(peer.median)} ({peer.name})" if peer else f"{name} is not installed",
            f"{ours.median / peer.median:.2f}" if peer else "-",
            "1.00" if name == "foreman" else "1.00 (the next mark)",
            # honcho is a mark to come near to, not a bar.
            (ours.median <= peer.median or (None if name == "honcho" else False)) if peer else None,
        )
    many = _generate(large, 10_000)
    interleave([ours, many], rounds=3, warm_ups=0)
    yield Figure(
        "`generate` for 10,000 processes",
        milliseconds(many.median),
        f"{milliseconds(ours.median)} (for 1,000)",
        f"{many.median / ours.median:.2f}",
        "11",
        many.median <= 11 * ours.median,
    )
    yield Figure(
        "`generate` for 10,000 processes, peak memory",
        f"{many.peak_bytes / MEBIBYTE:.0f} MiB",
        "-",
        "-",
        "200 MiB",
        many.peak_bytes < 200 * MEBIBYTE,
    )


def _generate(directory: Path, count: int) -> Command:
    output = directory / "ours"

    def check() -> None:
        services = sum(1 for path in output.iterdir() if path.suffix == ".service")
        assert services == count, f"{services} services instead of {count}"

    argv = [PM_NATIVE, "generate", "-f", "Procfile", "--project", "bench", "-o", str(output)]
    return Command(
        "pm-native generate", argv, directory, lambda: shutil.rmtree(output, ignore_errors=True), check
    )


def _foreman(directory: Path) -> Command | None:
    return _exporter(
        "foreman export systemd", shutil.which("foreman"), ["-a", "bench", "-u", "root"], directory
    )


def _honcho(directory: Path) -> Command | None:
    found = HONCHO if Path(HONCHO).exists() else shutil.which("honcho")
    return _exporter("honcho export systemd", found, ["-a", "bench", "-u", "root"], directory)


def _exporter(name: str, program: str | None, options: list[str], directory: Path) -> Command | None:
    if program is None:
        return None
    output = directory / name.split(maxsplit=1)[0]

    def prepare() -> None:
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()

    def check() -> None:
        assert sum(1 for path in output.iterdir() if path.suffix == ".service") == 1000, (
            "not all were exported"
        )

    arguments = (
        ["systemd", str(output)] if name.startswith("foreman") else [*options, "systemd", str(output)]
    )
    tail = options if name.startswith("foreman") else []
    return Command(name, [program, "export", *arguments, *tail], directory, prepare, check)
