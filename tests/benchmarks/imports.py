"""What it costs to read a foreign config: the same thousand processes in each format, and in the native one."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from tests.benchmarks.measure import Command, Figure, interleave, milliseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PM_NATIVE = str(Path(sys.executable).parent / "pm-native")
COUNT = 1000
NATIVE = "pm-native.toml"
BAR = 2.0
NUMBERS = range(COUNT)


def _native() -> str:
    processes = (
        f'[process.p{n}]\ncommand = "sleep {n}"\nrestart = {{ limit = 3, window = "30s" }}\n'
        f'environment = {{ NODE_ENV = "production", NUMBER = "{n}" }}\n'
        for n in NUMBERS
    )
    return "\n".join(['[project]\nname = "bench"\n', *processes])


def _supervisord() -> str:
    return "\n".join(
        f'[program:p{n}]\ncommand=sleep {n}\nstartretries=3\nenvironment=NODE_ENV="production",NUMBER="{n}"\n'
        for n in NUMBERS
    )


def _circus() -> str:
    return "\n".join(
        f"[watcher:p{n}]\ncmd = sleep {n}\ngraceful_timeout = 5\n\n[env:p{n}]\nNODE_ENV = production\nNUMBER = {n}\n"
        for n in NUMBERS
    )


def _compose() -> str:
    services = (
        f"  p{n}:\n    command: sleep {n}\n    restart: on-failure:3\n"
        f"    environment:\n      NODE_ENV: production\n      NUMBER: {n}\n"
        for n in NUMBERS
    )
    return "".join(["services:\n", *services])


def _process_compose() -> str:
    processes = (
        f"  p{n}:\n    command: sleep {n}\n    availability: {{ restart: on_failure, max_restarts: 3 }}\n"
        f"    environment: [NODE_ENV=production, NUMBER={n}]\n"
        for n in NUMBERS
    )
    return "".join(["processes:\n", *processes])


def _pm2(number: int) -> dict[str, object]:
    env = {"NODE_ENV": "production", "NUMBER": str(number)}
    return {"name": f"p{number}", "script": "sleep", "args": [str(number)], "max_restarts": 3, "env": env}


def _pm2_yaml() -> str:
    apps = (
        f"  - name: p{n}\n    script: sleep\n    args: ['{n}']\n    max_restarts: 3\n"
        f"    env: {{ NODE_ENV: production, NUMBER: '{n}' }}\n"
        for n in NUMBERS
    )
    return "".join(["apps:\n", *apps])


def _tuix() -> str:
    processes = [
        {
            "name": f"p{n}",
            "command": "sleep",
            "args": [str(n)],
            "maxRestarts": 3,
            "env": {"NODE_ENV": "production", "NUMBER": str(n)},
        }
        for n in NUMBERS
    ]
    return json.dumps({"processManager": {"processes": processes}}, indent=2)


FORMATS: dict[str, Callable[[], str]] = {
    "Procfile": lambda: "".join(f"p{n}: sleep {n}\n" for n in NUMBERS),
    "supervisord.conf": _supervisord,
    "circus.ini": _circus,
    "compose.yaml": _compose,
    "process-compose.yaml": _process_compose,
    "ecosystem.json": lambda: json.dumps({"apps": [_pm2(n) for n in NUMBERS]}, indent=2),
    "ecosystem.config.yml": _pm2_yaml,
    "tuix.config.json": _tuix,
}


def import_figures(scratch: Path) -> Iterator[Figure]:
    """`generate` of a thousand processes in each foreign format against the same ones in the native format."""
    folder = scratch / "imports"
    folder.mkdir()
    (folder / NATIVE).write_text(_native(), encoding="utf-8")
    for name, text in FORMATS.items():
        (folder / name).write_text(text(), encoding="utf-8")
    native = _generate(folder, NATIVE)
    foreign = {name: _generate(folder, name) for name in FORMATS}
    interleave([native, *foreign.values()], rounds=5)
    for name, command in foreign.items():
        ratio = command.median / native.median
        yield Figure(
            f"`generate` for 1,000 processes of {name}",
            milliseconds(command.median),
            f"{milliseconds(native.median)} ({NATIVE})",
            f"{ratio:.2f}",
            f"{BAR:g}",
            ratio <= BAR,
        )


def _generate(folder: Path, name: str) -> Command:
    output = folder / f"units of {name}"

    def check() -> None:
        services = sum(1 for path in output.iterdir() if path.suffix == ".service")
        assert services == COUNT, f"{services} services of {name} instead of {COUNT}"

    argv = [PM_NATIVE, "generate", "-f", name, "--project", "bench", "-o", str(output)]
    return Command(
        f"pm-native generate -f {name}",
        argv,
        folder,
        lambda: shutil.rmtree(output, ignore_errors=True),
        check,
    )
