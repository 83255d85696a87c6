"""The watcher as a process, with a systemctl that only writes down what it is asked."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pm_native.runtime.watch.serve import NO_LIBRARY, Wish, WishError, limit_words, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

MAIN = Path(__file__).parents[3] / "pm_native/runtime/watch/__main__.py"
PATIENCE_SEC = 60
SYSTEMCTL = """\
#!/bin/sh
case "$*" in "show "*) printf 'Id=%s\\nLoadState=loaded\\nActiveState=active\\n' web.service; exit;; esac
echo "systemctl $*" >&3
"""


def library() -> str:
    """Where the library is that the tests run with."""
    import inotify

    return str(Path(inotify.__path__[0]).parent)


class Running:
    """A watcher under way: `lines` are what it says and what its systemctl is asked for, in one stream."""

    def __init__(self, folder: Path, *options: str, prefix: tuple[str, ...] = ()) -> None:
        (folder / "bin").mkdir()
        (folder / "bin/systemctl").write_text(SYSTEMCTL, encoding="ascii")
        (folder / "bin/systemctl").chmod(0o755)
        (folder / "shop/src").mkdir(parents=True)
        self.folder = folder / "shop"
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind(str(folder / "notify"))
        self.notified.settimeout(PATIENCE_SEC)
        words = [f"--library={library()}", "--unit=web.service", f"--directory={self.folder}", *options]
        reader, writer = os.pipe()
        # Descriptor 3 of the shell: its systemctl inherits it through the watcher.
        self.process = subprocess.Popen(
            [*prefix, "sh", "-c", 'exec 3>&2; exec "$@" 3>&2', "sh", sys.executable, "-I", MAIN, *words],
            stdin=subprocess.DEVNULL,
            stderr=writer,
            pass_fds=(),
            env={"PATH": f"{folder}/bin:/usr/bin:/bin", "NOTIFY_SOCKET": str(folder / "notify")},
        )
        os.close(writer)
        self.stream: IO[str] = os.fdopen(reader, encoding="utf-8")

    def write(self, name: str) -> None:
        (self.folder / name).write_text("x", encoding="utf-8")

    def line(self) -> str:
        return self.stream.readline().rstrip("\n")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.stream.close()
        self.notified.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    it = Running(tmp_path, "--watch=src/**", "--delay=0.01s")
    yield it
    it.stop()


def test_watcher_says_when_it_watches_and_restarts_what_runs(running: Running) -> None:
    assert running.notified.recv(4096) == b"READY=1\nSTATUS=watching 2 folders for web.service"
    running.write("src/app.js")
    assert [running.line() for _ in range(3)] == [
        "<5>src/app.js changed: restarting web.service",
        "systemctl reset-failed -- web.service",
        "systemctl try-restart --no-block -- web.service",
    ]
    (running.folder / "src/lib").mkdir()
    running.write("src/lib/a.js")
    assert running.line() == "<5>src/lib/a.js changed: restarting web.service"


def test_changes_during_a_restart_make_the_next_one(running: Running) -> None:
    running.notified.recv(4096)
    running.write("src/1.js")
    assert running.line().endswith("restarting web.service")  # its systemctl has not run yet
    running.write("src/2.js")
    said = [running.line() for _ in range(5)]
    assert [line for line in said if "changed" in line] == ["<5>src/2.js changed: restarting web.service"]


def test_it_ends_quietly_when_it_is_asked_to(running: Running) -> None:
    running.notified.recv(4096)
    running.process.terminate()
    assert running.process.wait(PATIENCE_SEC) == -15
    assert running.stream.read() == ""


def may_unshare() -> bool:
    words = [
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        "echo 1 >/proc/sys/user/max_inotify_watches",
    ]
    done = subprocess.run(words, capture_output=True, check=False) if shutil.which("unshare") else None
    return done is not None and done.returncode == 0


WATCHES = (
    "<3>the kernel has no more at {folder}/src: fs.inotify.max_user_watches, the number of folders that may be watched"
    " for one user, is too low. Raise it: sysctl -w fs.inotify.max_user_watches=524288, and for good:"
    " echo fs.inotify.max_user_watches=524288 >/etc/sysctl.d/60-inotify.conf\n"
)
INSTANCES = (
    "<3>the kernel has no more: fs.inotify.max_user_instances, the number of watchers that may run for one user, is too"
    " low. Raise it: sysctl -w fs.inotify.max_user_instances=1024, and for good:"
    " echo fs.inotify.max_user_instances=1024 >/etc/sysctl.d/60-inotify.conf\n"
)


@pytest.mark.skipif(
    not may_unshare(), reason="the kernel gives no user namespace, which has limits of its own"
)
@pytest.mark.parametrize(
    ("limit", "number", "said"),
    [("max_inotify_watches", 1, WATCHES), ("max_inotify_instances", 0, INSTANCES)],
)
def test_limits_of_the_kernel_are_told_with_the_way_out(
    limit: str, number: int, said: str, tmp_path: Path
) -> None:
    script = f'echo {number} >/proc/sys/user/{limit}; exec "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "sh", "-c", script, "sh")
    it = Running(tmp_path, "--watch=src/**", prefix=prefix)
    assert it.stream.read() == said.format(folder=it.folder)
    assert it.process.wait(PATIENCE_SEC) == 71
    it.stop()


def test_library_that_is_not_there_is_told(tmp_path: Path) -> None:
    code = "import sys; sys.modules['inotify'] = None; sys.argv[1:] = ['--unit=a', '--directory=/', '--watch=a'];"
    code += f"import runpy; runpy.run_path({str(MAIN)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (69, f"<3>{NO_LIBRARY}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "it takes --unit=, --directory= with an absolute path, and --watch="),
        (
            ["--unit=a", "--directory=x", "--watch=a"],
            "it takes --unit=, --directory= with an absolute path, and --watch=",
        ),
        (["--wacht=a"], "there is no option --wacht"),
        (["--delay=soon"], "--delay=soon: a number of seconds, such as 0.3s"),
    ],
)
def test_command_line_that_makes_no_sense_is_told(words: list[str], said: str) -> None:
    with pytest.raises(WishError) as caught:
        Wish(words)
    assert str(caught.value) == said


def test_names_of_files_reach_no_terminal_as_they_are(running: Running) -> None:
    running.notified.recv(4096)
    running.write("src/a\n<0>b\x1b[2J é\udcff")
    assert running.line() == r"<5>src/a\n<0>b\x1b[2J é\udcff changed: restarting web.service"
    assert printable("é→ \u202e") == r"é→ \u202e"


def test_other_errors_are_told_as_they_are() -> None:
    assert limit_words(OSError(5, "Input/output error", "/srv/x")) == "/srv/x: Input/output error"
