"""Whatever a config says reaches the program byte for byte, through a booted systemd, or is refused with a diagnostic.

The values are random and the same in each run. They go the whole way: model, units, systemd, exec. To be quick, one
command carries many argvs, and the commands of many compiled units are run by one, as so many ExecStart= lines.
"""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import PurePosixPath

import pytest

from pm_native.compile.bundle import FileKind
from pm_native.compile.host import Host
from pm_native.compile.options import CompileOptions
from pm_native.compile.project import compile_project
from pm_native.errors import ConfigError, Diagnostics
from pm_native.model.project import (
    Listen,
    Logs,
    Process,
    ProcessKind,
    Project,
    Restart,
    RestartPolicy,
    Variable,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.bundle import Bundle
    from tests.machine.harness import Machine

ARGVS, VARIABLES, PLACES = 10_000, 10_000, 60
PER_COMMAND = 20  # argvs, each behind a word with its number: starting a program costs more than a word
TRICKY = [
    *"\"'\\%$;#=@-:!+|&*?<>(){}[]~^` \t\n\r\v\f\x01\x07\x08\x1b\x1f\x7f",
    *"\u0085\u00a0\u00e9\u2028\u3000\ufeff\uffff\u65e5\U0001f600",
    *(
        "%i",
        "%%",
        "%n",
        "${HOME}",
        "$HOME",
        "$$",
        "\\n",
        "\\x41",
        "\\",
        "a",
        "0",
        "word",
        " ",
        "\\\n",
        "';'",
    ),
]
# The words that a shell, a unit file or a program would most easily take for something else.
HARD = [
    "",
    ";",
    "\\;",
    "#",
    "-",
    "--",
    "@",
    "%",
    "%i",
    "$",
    "${X}",
    '"',
    "'",
    "\\",
    "\n",
    "=",
    " ",
    "~",
    "*",
]


class Values:
    """Random values, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - not for secrets

    def character(self) -> str:
        while True:
            char = chr(self.random.randrange(1, 0x110000))
            if not 0xD800 <= ord(char) < 0xE000:
                return char

    def text(self, longest: int = 12) -> str:
        if self.random.random() < 0.15:
            return self.random.choice(HARD)
        pieces = [
            self.random.choice(TRICKY) if self.random.random() < 0.8 else self.character()
            for _ in range(self.random.randrange(longest))
        ]
        return "".join(pieces)

    def long_text(self, size: int) -> str:
        text = self.text(40) or "x"
        return (text * (size // len(text.encode()) + 1)).encode()[:size].decode(errors="ignore")

    def line(self) -> str:
        """Text without control characters, for what has no quotes in a unit file."""
        text = "".join(char for char in self.text() if char >= " " and char != "\x7f")
        return f"x{text}x"


@cache
def argvs() -> list[tuple[str, ...]]:
    values = Values(1)
    found = [tuple(values.text() for _ in range(values.random.randrange(6))) for _ in range(ARGVS)]
    for size in range(5, 105, 5):  # apart: a line of more than 1 MiB is none
        found[90 * size] = (values.long_text(1000 * size), "end")
    return found


@cache
def variables() -> list[tuple[str, str]]:
    values = Values(2)
    found = [(f"V{number}", values.text()) for number in range(VARIABLES)]
    for size in range(5, 105, 5):
        found[90 * size] = (f"V_LONG_{size}", values.long_text(1000 * size))
    return found


def task(name: str, command: tuple[str, ...], **rest: object) -> Process:
    fields: dict[str, object] = {
        "name": name,
        "command": command,
        "directory": PurePosixPath("/"),
        "kind": ProcessKind.TASK,
        "restart": Restart(policy=RestartPolicy.NO),
        **rest,
    }
    return Process(**fields)  # type: ignore[arg-type]  # each test gives each field its type


def compiled(machine: Machine, *processes: Process, project: str = "quoting") -> Bundle:
    problems = Diagnostics()
    options = CompileOptions(systemd_version=machine.version, host=Host(machine.path("/")))
    bundle = compile_project(
        Project(
            name=project,
            source_path="/srv/pm-native.toml",
            directory=PurePosixPath("/"),
            processes=processes,
        ),
        options,
        problems,
    )
    assert list(problems) == []
    return bundle


def batches(count: int, size: int) -> list[range]:
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def unit_text(bundle: Bundle, name: str) -> str:
    return next(item.text for item in bundle.files if item.name == name)


def command_lines(bundle: Bundle) -> dict[str, str]:
    """The ExecStart= line of each service by the unit's name."""
    return {
        item.name: line
        for item in bundle.files
        for line in item.text.split("\n")
        if line.startswith("ExecStart=")
    }


def install(machine: Machine, bundle: Bundle, only: set[str] | None = None) -> None:
    for item in bundle.files:
        if item.kind is FileKind.ENVIRONMENT:
            machine.write(f"/etc/pm-native/{bundle.project}/{item.name}", item.text, mode=item.mode)
        elif only is None or item.name in only:
            machine.write(f"/etc/systemd/system/{item.name}", item.text)


def output(machine: Machine, path: str) -> bytes:
    return machine.path(path).read_bytes()


def joined(words: tuple[str, ...]) -> bytes:
    return b"".join(word.encode() + b"\0" for word in words)


def test_words_of_commands(machine: Machine) -> None:
    commands = [
        tuple(word for index in batch for word in (f"argv {index}", *argvs()[index]))
        for batch in batches(ARGVS, PER_COMMAND)
    ]
    printf = [
        task(f"c{number}", ("/usr/bin/printf", "%s\\0", *words)) for number, words in enumerate(commands)
    ]
    lines = command_lines(compiled(machine, *printf))
    runners = []
    for batch in batches(len(commands), 25):
        name, path = f"words{batch.start}", f"/root/words{batch.start}"
        base = compiled(machine, task(name, ("/usr/bin/true",), logs=Logs(stdout=path)))
        text = unit_text(base, f"quoting-{name}.service")
        own = "\n".join(lines[f"quoting-c{number}.service"] for number in batch)
        text = text.replace("ExecStart=:/usr/bin/true", own)
        machine.write(f"/etc/systemd/system/quoting-{name}.service", text)
        runners.append((f"quoting-{name}.service", path, batch))
    machine.systemctl("daemon-reload")
    machine.systemctl("start", *(name for name, _, _ in runners))
    for _, path, batch in runners:
        wanted = b"".join(joined(commands[number]) for number in batch)
        assert output(machine, path) == wanted


def test_words_behind_the_shell_that_counts_ports(machine: Machine) -> None:
    words = tuple(word for argv in argvs()[:500] for word in argv)
    pool = Process(
        name="pool",
        command=("/usr/bin/printf", "%s\\0", *words),
        directory=PurePosixPath("/"),
        instances=3,
        listen=Listen(port=4000),
    )
    env = Process(
        name="ports",
        command=("/usr/bin/env", "-0"),
        directory=PurePosixPath("/"),
        instances=3,
        listen=Listen(port=4000),
    )
    lines = command_lines(compiled(machine, pool, env))
    template = (
        "[Service]\nType=oneshot\nEnvironment=PM_NATIVE_INSTANCE=%i\nStandardOutput=append:/root/pool%i\n"
        + "".join(f"{line}\n" for _, line in sorted(lines.items()))
    )
    machine.write("/etc/systemd/system/quoting-behind@.service", template)
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "quoting-behind@1.service", "quoting-behind@3.service")
    for instance, port in (("1", "4000"), ("3", "4002")):
        got = output(machine, f"/root/pool{instance}")
        assert got.startswith(joined(words))
        assert f"PORT={port}".encode() in got.removeprefix(joined(words)).split(b"\0")


def split_variables() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The variables that systemd can pass on, and those that it cannot."""
    fine = [item for item in variables() if not has_noncharacter(item[1])]
    return fine, [item for item in variables() if has_noncharacter(item[1])]


def has_noncharacter(text: str) -> bool:
    return any(0xFDD0 <= ord(char) < 0xFDF0 or ord(char) & 0xFFFE == 0xFFFE for char in text)


def test_values_of_variables(machine: Machine) -> None:
    """Half of them of the config, which become Environment=, half of environment files."""
    fine, _ = split_variables()
    runners = []
    for batch in batches(len(fine), 250):
        given = {name: Variable(value=value) for name, value in fine[batch.start : batch.stop]}
        half = dict(list(given.items())[::2])
        path = f"/root/variables{batch.start}"
        process = task(
            f"v{batch.start}",
            ("/usr/bin/env", "-0"),
            logs=Logs(stdout=path),
            environment=half,
            file_environment=given,
        )
        bundle = compiled(machine, process, project="quoting-variables")
        install(machine, bundle, {f"quoting-variables-v{batch.start}.service"})
        runners.append((f"quoting-variables-v{batch.start}.service", path, given))
    machine.systemctl("daemon-reload")
    machine.systemctl("start", *(name for name, _, _ in runners))
    for _, path, given in runners:
        got = output(machine, path).split(b"\0")
        wanted = {f"{name}={variable.value}".encode() for name, variable in given.items()}
        # Each of them once, whichever of the two it came by.
        assert sorted(entry for entry in got if re.match(rb"V[0-9_]", entry)) == sorted(wanted)


def test_texts_without_quotes(machine: Machine) -> None:
    """Descriptions, folders and log files: the rest of a line, as it is."""
    values = Values(3)
    lines = [line for _ in range(PLACES * 2) if not has_noncharacter(line := values.line())][:PLACES]
    folders = [
        f"/root/places/{number}{line.replace('/', '')}"[:80].strip() for number, line in enumerate(lines)
    ]
    processes = [
        task(
            f"p{number}",
            ("/usr/bin/env", "pwd"),
            description=line,
            directory=PurePosixPath(folders[number]),
            logs=Logs(stdout=f"{folders[number]}/{line.replace('/', '')}"[:90].strip()),
        )
        for number, line in enumerate(lines)
    ]
    for folder in folders:
        machine.path(folder).mkdir(parents=True)
    bundle = compiled(machine, *processes, project="places")
    names = [f"places-p{number}.service" for number in range(len(lines))]
    install(machine, bundle, set(names))
    machine.systemctl("daemon-reload")
    machine.systemctl("start", *names)
    shown = machine.systemctl("show", "--property=Description", *names).stdout.split("\n\n")
    assert [text.strip("\n").removeprefix("Description=") for text in shown] == lines
    for process in processes:
        assert machine.read(process.logs.stdout) == f"{process.directory}\n"


REFUSED = ["a\0b", "half a pair: \ud83d", "x" * 200_000]


@pytest.mark.parametrize("word", REFUSED, ids=["nul", "surrogate", "long"])
def test_what_no_program_can_be_given_is_refused(word: str) -> None:
    variable = {"V": Variable(value=word)}
    for process in (
        task("command", ("/usr/bin/printf", word)),
        task("config", ("/usr/bin/env",), environment=variable),
        task("file", ("/usr/bin/env",), file_environment=variable),
    ):
        assert_refused(process)


def test_what_systemd_passes_to_no_program_is_refused() -> None:
    _, refused = split_variables()
    assert refused
    for name, value in refused:
        assert_refused(task("config", ("/usr/bin/env",), environment={name: Variable(value=value)}))
        assert_refused(task("file", ("/usr/bin/env",), file_environment={name: Variable(value=value)}))


def assert_refused(process: Process) -> None:
    project = Project(
        name="refused", source_path="/srv/a.toml", directory=PurePosixPath("/"), processes=(process,)
    )
    with pytest.raises(ConfigError):
        compile_project(project, CompileOptions(), Diagnostics())
