"""The same config under its own manager and under systemd: what each makes of the same programs.

An actor is a program that writes down what happens to it, in NAME.trace beside itself. A world is a manager that runs
actors. What is seen of an actor in two worlds can be compared.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from tests.machine.harness import until
from tests.machine.sites import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.machine.harness import Machine

FAMILY = ("child", "away")  # of an actor
PATIENCE_SEC = 60.0  # only a failure waits so long

# actor.py NAME WORD ...; of the words these do something:
#   exit=CODE after=SECONDS first=SECONDS   ends by itself; `first` is for its first run
#   go                                      waits for the file go before it does
#   die=SIGNAL                              the same, by a signal
#   deaf, gate                              does not end by a signal; waits for the file NAME.gate before it does
#   family                                  has a child, and one in a session of its own
#   show=VARIABLE                           writes it down
#   lose=FILE                               removes it, after `after`
#   home=VARIABLE                           where it is set (or the file NAME.well is there): no `exit`, no `lose`
ACTOR = """\
import os, signal, sys, time

name, *words = sys.argv[1:]
said = dict(word.partition("=")[::2] for word in words)
base = f"{os.path.dirname(os.path.abspath(__file__))}/{name}"
if said.get("home", "") in os.environ or os.path.exists(f"{base}.well"):
    said = {key: value for key, value in said.items() if key not in ("exit", "lose")}
trace = os.open(f"{base}.trace", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def tell(*facts):
    os.write(trace, (" ".join(map(str, facts)) + "\\n").encode())


def play(who, deaf):
    def heard(number, _):
        tell(who, signal.Signals(number).name)
        if "gate" in said:
            while not os.path.exists(f"{base}.gate"):
                time.sleep(0.02)
            tell(who, "gone")
        if not deaf:
            os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, heard)
    shown = os.environ.get(said["show"], "-") if "show" in said else ""
    tell(who, "up", os.getpid(), *([*words, shown] if who == "main" else ()))


if "family" in said:
    for who in ("child", "away"):
        if not os.fork():
            if who == "away":
                os.setsid()
            play(who, "deaf" in said)
            while True:
                signal.pause()
is_first = os.fstat(trace).st_size == 0
play("main", "deaf" in said)
for output, words in ((1, "out"), (2, "err")):  # in one piece, for those who share a file
    os.write(output, f"{words} of {name}\\n".encode())
while "go" in said and not os.path.exists(f"{os.path.dirname(base)}/go"):
    time.sleep(0.02)
time.sleep(float(said["first"] if is_first and "first" in said else said.get("after", 0)))
if "lose" in said:
    os.unlink(said["lose"])
if "die" in said:
    number = getattr(signal, said["die"])
    if number is not signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
if "exit" in said:
    os._exit(int(said["exit"]))
while True:
    signal.pause()
"""
# actor.js NAME [ready]: says so to its manager after a while, and hears messages.
NODE_ACTOR = """\
const fs = require('fs')
const [name, mode] = process.argv.slice(2)
const tell = (...facts) => fs.appendFileSync(`${__dirname}/${name}.trace`, `main ${facts.join(' ')}\\n`)
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => { tell(signal); process.exit(0) })
process.on('message', (message) => { tell(message); process.exit(0) })
setInterval(() => {}, 1000)
setTimeout(() => {
  tell('up', process.pid, Number(process.hrtime.bigint() / 1000n))
  if (mode === 'ready') process.send('ready')
}, 300)
"""
# listener.py FD: answers on the listener that it is given, with its process id.
LISTENER = """\
import os, socket, sys

listener = socket.socket(fileno=int(sys.argv[1]))
listener.setblocking(True)
while True:
    connection, _ = listener.accept()
    connection.sendall(str(os.getpid()).encode())
    connection.close()
"""
ASK = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(99).decode())"
# The head of a supervisord.conf with its socket in its own folder.
SERVERS = """\
[unix_http_server]
file = %(here)s/supervisor.sock
[supervisorctl]
serverurl = unix://%(here)s/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisord]
logfile = %(here)s/supervisord.log
pidfile = %(here)s/supervisord.pid
directory = %(here)s
"""


class World(Protocol):
    """A manager with its actors in `folder`."""

    @property
    def machine(self) -> Machine:
        """Where it is."""

    @property
    def folder(self) -> str:
        """Where its actors and their traces are."""

    def is_at_rest(self, name: str) -> bool:
        """Whether nothing runs of the process, and nothing will."""

    def gave_up(self, name: str) -> bool:
        """Whether the manager says that it has given the process up."""

    def stop(self, name: str) -> None:
        """Stop the process, and wait for it."""


@dataclass
class Systemd:
    """What pm-native made of the config."""

    site: Site

    @property
    def machine(self) -> Machine:
        return self.site.machine

    @property
    def folder(self) -> str:
        return self.site.folder

    def unit(self, name: str) -> str:
        return f"{self.site.name}-{name}.service"

    def start(self, config: str, *words: str) -> None:
        """Apply a config in which something fails, which is told."""
        self.site.apply("-f", config, "--project", self.site.name, *words, code=4)

    def is_at_rest(self, name: str) -> bool:
        return self.machine.show(self.unit(name), "ActiveState")["ActiveState"] in {"inactive", "failed"}

    def gave_up(self, name: str) -> bool:
        return self.machine.show(self.unit(name), "ActiveState")["ActiveState"] == "failed"

    def stop(self, name: str) -> None:
        self.machine.systemctl("stop", self.unit(name))

    def stop_usec(self, name: str) -> int:
        """How long the last stop took until its program had ended, by systemd's own clock."""
        stamps = ("ExecMainExitTimestampMonotonic", "ActiveExitTimestampMonotonic")
        ended, began = (int(self.machine.show(self.unit(name), stamp)[stamp]) for stamp in stamps)
        return ended - began


@dataclass
class Supervisord:
    """A supervisord of its own, with its socket in the folder."""

    machine: Machine
    folder: str

    def start(self) -> None:
        words = [
            "systemd-run",
            "--quiet",
            "--collect",
            "--unit=behaviour-supervisord",
            "--property=KillSignal=SIGKILL",
        ]
        self.machine.run([*words, "supervisord", "--nodaemon", "-c", f"{self.folder}/supervisord.conf"])

    def end(self) -> None:
        self.machine.systemctl("stop", "behaviour-supervisord.service", check=False)

    def ctl(self, *words: str) -> str:
        return self.machine.run(
            ["supervisorctl", "-c", f"{self.folder}/supervisord.conf", *words], check=False
        ).stdout

    def _state(self, name: str) -> str:
        return self.ctl("status", name).split()[1]

    def is_at_rest(self, name: str) -> bool:
        return self._state(name) in {"EXITED", "FATAL", "STOPPED"}

    def gave_up(self, name: str) -> bool:
        return self._state(name) == "FATAL"

    def stop(self, name: str) -> None:
        self.ctl("stop", name)


@dataclass
class Pm2:
    """A PM2 of its own, with its home in the folder."""

    machine: Machine
    folder: str

    def pm2(self, *words: str) -> str:
        env = {"PM2_HOME": f"{self.folder}/.pm2", "PM2_DISCRETE_MODE": "1"}
        return self.machine.run(["pm2", *words], env=env, cwd=self.folder).stdout

    def end(self) -> None:
        self.pm2("kill")

    def state(self, name: str) -> str:
        listed = json.loads(self.pm2("jlist").splitlines()[-1])
        (state,) = {item["pm2_env"]["status"] for item in listed if item["name"] == name}
        return str(state)

    def is_at_rest(self, name: str) -> bool:
        return self.state(name) in {"stopped", "errored"}

    def gave_up(self, name: str) -> bool:
        return self.state(name) == "errored"

    def stop(self, name: str) -> None:
        self.pm2("stop", name)


def write_files(machine: Machine, folder: str, files: Mapping[str, str]) -> None:
    """Write the actor, and these."""
    for name, text in {"actor.py": ACTOR, **files}.items():
        machine.write(f"{folder}/{name}", text)


@contextmanager
def under_systemd(machine: Machine, name: str, files: Mapping[str, str] | None = None) -> Iterator[Systemd]:
    """A project of this name with these files, which goes with the block."""
    site = Site(machine, name)
    write_files(machine, site.folder, files or {})
    try:
        yield Systemd(site)
    finally:
        site.remove()
        machine.run(["rm", "-r", site.folder])


def read_lines(world: World, name: str) -> list[str]:
    """The lines of a file in the folder; none where there is none yet."""
    try:
        return world.machine.read(f"{world.folder}/{name}").splitlines()
    except FileNotFoundError:
        return []


def trace(world: World, name: str) -> list[list[str]]:
    """What the actor has written down."""
    return [line.split() for line in read_lines(world, f"{name}.trace")]


def ups(world: World, name: str, who: str = "main") -> list[str]:
    """The process ids of each start."""
    return [words[2] for words in trace(world, name) if words[:2] == [who, "up"]]


def seen(world: World, name: str) -> str:
    """The trace, for people."""
    return f"{name} in {world}: {trace(world, name)}"


def starts_until_rest(world: World, name: str) -> int:
    """How often it was started, once nothing more comes."""
    until(
        lambda: bool(ups(world, name)) and world.is_at_rest(name),
        timeout=PATIENCE_SEC,
        what=lambda: seen(world, name),
    )
    return len(ups(world, name))


def starts_until_given_up(world: World, name: str) -> tuple[int, bool]:
    """How often it was started, and whether the manager says that it gave up."""
    return starts_until_rest(world, name), world.gave_up(name)


def comes_back(world: World, name: str, times: int = 4) -> bool:
    """Whether it is started again and again."""
    until(lambda: len(ups(world, name)) >= times, timeout=PATIENCE_SEC, what=lambda: seen(world, name))
    return True


def let_go(world: World) -> None:
    """Let those end that wait for it."""
    world.machine.write(f"{world.folder}/go", "")


def check_starts(
    world: World, *, once: Iterable[str], goes_on: Iterable[str], given_up: Mapping[str, int]
) -> None:
    """What is started once, what again and again, and what is given up after so many starts."""
    assert {name: starts_until_rest(world, name) for name in once} == dict.fromkeys(once, 1)
    assert {name: starts_until_given_up(world, name) for name in given_up} == {
        name: (count, True) for name, count in given_up.items()
    }
    assert {name: comes_back(world, name) for name in goes_on} == dict.fromkeys(goes_on, True)


def signals_of_stop(world: World, name: str, *family: str, gone: bool = True) -> dict[str, list[str]]:
    """Stop it: the signals that it and its family heard; with `gone`, once nothing of them is left."""
    everyone = ("main", *family)
    started = ("main", *FAMILY) if family else ("main",)
    until(
        lambda: all(ups(world, name, who) for who in started),
        timeout=PATIENCE_SEC,
        what=lambda: seen(world, name),
    )
    world.stop(name)
    if gone:
        await_end(world, name, *family)
    return {
        who: [words[1] for words in trace(world, name) if words[0] == who and words[1] != "up"]
        for who in everyone
    }


def all_hear(signal: str, *deaf: str) -> dict[str, list[str]]:
    """That an actor and its family hear a signal, but for some."""
    return {who: [] if who in deaf else [signal] for who in ("main", *FAMILY)}


def await_end(world: World, name: str, *family: str) -> None:
    """Wait until nothing of the actor is left."""
    pids = [pid for who in ("main", *family) for pid in ups(world, name, who)]
    until(
        lambda: not any(is_alive(world.machine, pid) for pid in pids),
        timeout=PATIENCE_SEC,
        what=lambda: (
            f"of {pids}, {[pid for pid in pids if is_alive(world.machine, pid)]} are left of {name}"
        ),
    )


def is_alive(machine: Machine, pid: str) -> bool:
    """Whether a process of the machine is there and no zombie."""
    try:
        stat = machine.path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def logs(world: World, name: str, *lines: str) -> None:
    """Wait until a log file has these lines and no others, in any order."""
    found: list[str] = []

    def is_so() -> bool:
        found[:] = read_lines(world, name)
        return sorted(found) == sorted(lines)

    until(is_so, timeout=PATIENCE_SEC, what=lambda: f"{name} has {found}")


def check_logs(world: World) -> None:
    """Two streams to two files, both to one, and one of them to none."""
    logs(world, "two.out", "out of two-files")
    logs(world, "two.err", "err of two-files")
    logs(world, "one.log", "out of one-file", "err of one-file")
    logs(world, "no.err", "err of no-file")


def check_off(world: World, name: str = "off") -> None:
    """It was never started."""
    assert (trace(world, name), world.is_at_rest(name)) == ([], True)


def check_killed(world: Systemd, name: str) -> None:
    """Its stop took the two seconds that it has, and then SIGKILL."""
    assert world.machine.show(world.unit(name), "Result")["Result"] == "timeout"
    assert world.stop_usec(name) > 1_000_000


def last_words(world: World, name: str, count: int) -> list[str]:
    """The last word that each of `count` starts has written down, once all are there."""
    until(lambda: len(ups(world, name)) == count, timeout=PATIENCE_SEC, what=lambda: seen(world, name))
    return sorted(words[-1] for words in trace(world, name))


def answers_of_two(world: World, path: str) -> None:
    """Wait until two programs have answered on a Unix socket, each with its process id."""
    answers: set[str] = set()

    def both_answered() -> bool:
        answers.add(world.machine.run(["python3", "-c", ASK, path]).stdout.strip())
        return len(answers) == 2

    until(both_answered, timeout=PATIENCE_SEC, what=lambda: f"only {answers} answered")
