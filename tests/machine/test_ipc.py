"""Messages between the processes of a project on a real systemd: examples/messages, as its reader would run it."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from pm_native.runtime import ipc
from tests.machine.harness import CHECKOUT, until
from tests.machine.nspawn import SANE_PATH
from tests.machine.sites import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine

EXAMPLE = CHECKOUT / "examples/messages"
SOCKET, BROKER = "pm-native-ipc@desk.socket", "pm-native-ipc@desk.service"
PATH = "/run/pm-native/ipc/desk.sock"
NODE_CLIENT = Path(ipc.__file__).with_name("client.cjs").read_text(encoding="utf-8")
GET = "import sys, urllib.request as r; print(r.urlopen(r.Request(sys.argv[2], method=sys.argv[1])).read().decode())"
TALK = """
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(20)
peer.connect(sys.argv[1])
peer.sendall(b'{"op":"peers","id":1}\\n')
print(peer.makefile().readline())
"""
# What a program of the machine's own Python needs to find the client.
INSTALLED = f'environment = {{ PYTHONPATH = "{CHECKOUT}" }}\n'


@pytest.fixture(scope="module")
def desk(machine: Machine) -> Iterator[Site]:
    site = Site(machine, "desk")
    for file in EXAMPLE.iterdir():
        text = file.read_text(encoding="utf-8")
        if file.name == "pm-native.toml":
            text = text.replace('user = "www-data"\n', f'user = "www-data"\n{INSTALLED}')
        site.write(file.name, text)
    site.write("pm-native-ipc.cjs", NODE_CLIENT)
    site.apply()
    until(lambda: len(serving(site)) == 5, what=lambda: str(serving(site)))
    until(lambda: "listening" in machine.journal("desk-web.service"), what=lambda: "in vain")
    yield site
    site.pm_native("remove", "desk")


def serving(site: Site) -> set[str]:
    peers = json.loads(site.pm_native("ipc", "peers", "--json", "-p", site.name).stdout)["data"]["peers"]
    return {peer["name"] for peer in peers if peer["serves"]}


def request(site: Site, method: str, path: str) -> dict[str, object]:
    url = f"http://127.0.0.1:8085{path}"
    found = json.loads(site.machine.run(["/usr/bin/python3", "-c", GET, method, url]).stdout)
    assert isinstance(found, dict)
    return found


@contextmanager
def running(site: Site, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command of pm-native that goes on, once it has said its first line on standard error."""
    argv = [str(site.machine.python), "-m", "pm_native", *words]
    process = subprocess.Popen(
        site.machine.command(argv, cwd=site.folder),
        env={"PATH": SANE_PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stderr is not None
            process.stderr.readline()
            yield process
        finally:
            process.kill()


def test_web_in_node_asks_workers_in_python_in_turn(desk: Site) -> None:
    answers = [request(desk, "GET", f"/resize?image={number}") for number in range(4)]
    assert [(answer["image"], answer["for"]) for answer in answers] == [
        (number, "web") for number in range(4)
    ]
    assert sorted(str(answer["by"]) for answer in answers) == ["1", "1", "2", "2"]


def test_change_empties_the_caches_of_a_whole_pool(desk: Site) -> None:
    def keys() -> list[tuple[str, object]]:
        rows = json.loads(
            desk.pm_native("ipc", "call", "cache@*", "-m", "keys", "--json", "--socket", PATH).stdout
        )
        return sorted((row["from"]["instance"], row["body"]) for row in rows["data"])

    assert keys() == [("1", ["7", "8"]), ("2", ["7", "8"]), ("3", ["7", "8"])]
    assert request(desk, "POST", "/user?id=7") == {"told": 3}
    assert keys() == [("1", ["8"]), ("2", ["8"]), ("3", ["8"])]


def test_progress_is_watched_from_the_shell(desk: Site) -> None:
    with running(desk, "ipc", "sub", "progress.**", "--count", "2", "--socket", PATH) as watching:
        request(desk, "GET", "/resize?image=42")
        assert watching.stdout is not None
        assert watching.stdout.read() == (
            'progress.resize.42 {"percent": 50}\nprogress.resize.42 {"percent": 100}\n'
        )
    with running(desk, "ipc", "sub", "$peer.*", "--count", "1", "--json", "--socket", PATH) as watching:
        desk.machine.systemctl("kill", "-s", "KILL", "desk-cache@3.service")
        assert watching.stdout is not None
        gone = json.loads(watching.stdout.readline())
    assert (gone["topic"], gone["body"]["name"]) == ("$peer.left", "cache@3")
    until(lambda: "cache@3" in serving(desk), what=lambda: "in vain")


def test_kernel_says_who_a_peer_is_and_another_user_is_refused(desk: Site) -> None:
    shown = json.loads(desk.pm_native("ipc", "peers", "--json", "--socket", PATH).stdout)["data"]["peers"]
    units = sorted((peer["name"], peer["unit"]) for peer in shown if peer["name"])
    assert units == [
        *((f"cache@{number}", f"desk-cache@{number}.service") for number in (1, 2, 3)),
        ("web", "desk-web.service"),
        *((f"worker@{number}", f"desk-worker@{number}.service") for number in (1, 2)),
    ]
    account = desk.machine.run(["id", "-u", "www-data"]).stdout.strip()
    assert {str(peer["uid"]) for peer in shown if peer["name"]} == {account}
    talk = ["/usr/bin/python3", "-c", TALK, PATH]
    refused = json.loads(desk.machine.run(["setpriv", "--reuid=nobody", "--clear-groups", *talk]).stdout)
    assert (refused["op"], refused["error"]) == ("error", "AccessDenied")
    assert "is not of this project" in refused["message"]
    # Outside of the project's cgroups, in another service, the project's own user is refused, too.
    elsewhere = desk.machine.run(
        ["systemd-run", "--pipe", "--wait", "--quiet", "--uid=www-data", *talk], check=False
    )
    assert json.loads(elsewhere.stdout)["error"] == "AccessDenied"


def test_broker_is_sandboxed_and_runs_as_nobody_else_does(desk: Site) -> None:
    shown = desk.machine.show(BROKER, "MainPID", "ActiveState", "User", "NotifyAccess")
    status = desk.machine.read(f"/proc/{shown['MainPID']}/status")
    uid = next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:"))
    assert int(uid) > 0
    assert "CapEff:\t0000000000000000" in status
    text = desk.machine.run(["systemd-analyze", "security", "--no-pager", BROKER], check=False).stdout
    exposure = re.search(r"Overall exposure level .*: ([0-9.]+)", text)
    assert exposure is not None, text
    assert float(exposure[1]) <= 2.0, text


def test_restart_of_the_broker_loses_no_connection_attempt(desk: Site) -> None:
    script = """
import json, socket, sys
done = 0
print("begun", file=sys.stderr, flush=True)
while done < 400:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(20)
        peer.connect(sys.argv[1])
        try:
            peer.sendall(b'{"op":"ping","id":1}\\n')
            answer = peer.recv(1000)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
        done += b'"ok"' in answer
print(done)
"""
    desk.write("connect.py", script)
    argv = ["/usr/bin/python3", f"{desk.folder}/connect.py", PATH]
    with subprocess.Popen(
        desk.machine.command(argv),
        env={"PATH": SANE_PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as connecting:
        assert connecting.stderr is not None
        connecting.stderr.readline()
        for _ in range(2):
            desk.machine.systemctl("restart", BROKER)
            desk.machine.systemctl("kill", "-s", "KILL", BROKER)
            desk.machine.wait_until(BROKER, ActiveState="active", SubState="running")
        out, errors = connecting.communicate(timeout=60)
    assert (out, errors) == ("400\n", "")
    # The programs have found the new broker, each with its subscriptions and its handlers.
    until(lambda: len(serving(desk)) == 5, what=lambda: "in vain")
    assert request(desk, "GET", "/resize?image=5")["image"] == 5
    until(lambda: request(desk, "POST", "/user?id=8") == {"told": 3}, what=lambda: "in vain")


def test_broker_that_hangs_is_ended_and_its_clients_find_the_next(desk: Site) -> None:
    drop_in = f"/run/systemd/system/{BROKER}.d/soon.conf"
    desk.machine.write(drop_in, "[Service]\nWatchdogSec=2s\n")  # not 30 s: nobody waits for that here
    desk.machine.systemctl("daemon-reload")
    desk.machine.systemctl("restart", BROKER)
    until(lambda: len(serving(desk)) == 5, what=lambda: "in vain")
    before = {unit: desk.machine.show(unit, "InvocationID") for unit in (BROKER, "desk-web.service")}
    desk.machine.systemctl("kill", "-s", "STOP", BROKER, check=False)
    until(lambda: desk.machine.show(BROKER, "InvocationID") != before[BROKER], what=lambda: "it still hangs")
    assert any("Watchdog timeout" in line for line in desk.machine.journal(BROKER))
    desk.machine.run(["rm", drop_in])
    desk.machine.systemctl("daemon-reload")
    desk.machine.systemctl("restart", BROKER)  # what it counts with is told at its start
    until(lambda: len(serving(desk)) == 5, what=lambda: "in vain")
    assert request(desk, "GET", "/resize?image=6")["image"] == 6
    assert desk.machine.show("desk-web.service", "InvocationID") == before["desk-web.service"]


def test_second_apply_does_nothing_and_new_rules_restart_the_broker_alone(desk: Site) -> None:
    # What was killed again and again in the tests before may be watched, and nothing is done to it.
    assert [step for step in desk.applied().steps if not step.startswith("watch ")] == []
    before = desk.machine.show("desk-web.service", "InvocationID")
    text = desk.machine.read(f"{desk.folder}/pm-native.toml")
    desk.write("pm-native.toml", text.replace("publish = []", 'publish = ["cache.done"]'))
    steps = [step for step in desk.applied().steps if not step.startswith("watch ")]
    assert steps == ["write desk.ipc.env", f"restart {BROKER}"]
    assert desk.machine.show("desk-web.service", "InvocationID") == before


def test_program_of_pm2_hears_what_is_sent_and_what_it_says_is_published(machine: Machine) -> None:
    site = Site(machine, "chat")
    site.write(
        "api.js",
        'process.on("message", (heard) => process.send({ type: "process:msg", data: { heard } }));\n',
    )
    site.config('ipc = true\n[process.api]\ncommand = ["node", "api.js"]\nchannel = {}\n')
    site.apply()
    until(lambda: serving(site) == {"api"}, timeout=60, what=lambda: "in vain")
    packet = {"type": "process:msg", "topic": "greet", "data": {"hello": "wörld"}}
    with running(site, "ipc", "sub", "process:msg", "--count", "1", "--json", "-p", "chat") as watching:
        assert site.pm_native("ipc", "send", "api", json.dumps(packet), "-p", "chat").stdout == "sent to 1\n"
        assert watching.stdout is not None
        said = json.loads(watching.stdout.readline())
    assert said["body"] == {"type": "process:msg", "data": {"heard": packet}}
    assert (said["topic"], said["from"]["unit"]) == ("process:msg", "chat-api.service")
    site.pm_native("remove", "chat")


def test_removed_project_leaves_no_socket(machine: Machine) -> None:
    site = Site(machine, "brief")
    site.config('ipc = true\n[process.one]\ncommand = "sleep infinity"\n')
    site.apply()
    name = "pm-native-ipc@brief"
    assert machine.show(f"{name}.socket", "ActiveState") == {"ActiveState": "active"}
    shown = json.loads(site.pm_native("ipc", "peers", "--json", "-p", "brief").stdout)
    assert [peer["name"] for peer in shown["data"]["peers"]] == [""]
    site.pm_native("remove", "brief")
    assert (
        machine.run(
            ["sh", "-c", "ls /run/pm-native/ipc/brief.sock /etc/systemd/system/*brief*"], check=False
        ).stdout
        == ""
    )
    assert machine.show(f"{name}.service", "ActiveState") == {"ActiveState": "inactive"}


def test_user_manager_has_a_broker_of_its_own(machine: Machine) -> None:
    user = machine.user_session("ipcuser")
    site = Site(machine, "mine", user)
    site.config(
        "ipc = true\n[process.echo]\n"
        f'environment = {{ PYTHONPATH = "{CHECKOUT}" }}\n'
        "command = ['/usr/bin/python3', '-c', '''\n"
        "from pm_native.runtime import ipc\n"
        "client = ipc.connect()\n"
        "with client:\n"
        '    you = client.info["you"]\n'
        '    client.serve({"": lambda message: [message.body, [you["name"], you["unit"]]]})\n'
        "''']\n"
    )
    site.apply()
    answer = site.pm_native("ipc", "call", "echo", "7", "-p", "mine").stdout
    assert json.loads(answer) == [7, ["echo", "mine-echo.service"]]
    # The socket belongs to the user, as the broker does, and outlives the broker all the same.
    machine.systemctl("restart", "pm-native-ipc@mine.service", user=user)
    assert site.pm_native("ipc", "peers", "-p", "mine").stdout.startswith("NAME ")
    site.pm_native("remove", "mine")


def test_templates_of_a_package_serve_where_they_are_installed(host_machine: Machine) -> None:
    machine = host_machine
    for unit in ("pm-native-ipc@.socket", "pm-native-ipc@.service"):
        text = (CHECKOUT / "units" / unit).read_text(encoding="utf-8")
        machine.write(f"/usr/lib/systemd/system/{unit}", text)
    machine.write(
        "/usr/lib/sysusers.d/pm-native-ipc.conf",
        (CHECKOUT / "units/pm-native-ipc.sysusers.conf").read_text(encoding="utf-8"),
    )
    machine.run(["mkdir", "/usr/lib/pm-native"])
    machine.run(["ln", "-s", f"{CHECKOUT}/pm_native", "/usr/lib/pm-native/pm_native"])
    machine.run(["systemd-sysusers"])
    site = Site(machine, "packed")
    site.config('ipc = true\n[process.one]\ncommand = "sleep infinity"\n')
    try:
        site.apply()
        shown = json.loads(site.pm_native("ipc", "peers", "--json", "-p", "packed").stdout)
        assert [peer["uid"] for peer in shown["data"]["peers"]] == [0]
        assert not machine.path("/etc/systemd/system/pm-native-ipc@packed.service").exists()
        pid = machine.show("pm-native-ipc@packed.service", "MainPID")["MainPID"]
        status = machine.read(f"/proc/{pid}/status")
        account = machine.run(["id", "-u", "pm-native-ipc"]).stdout.strip()
        assert f"Uid:\t{account}\t" in status
        site.pm_native("remove", "packed")
    finally:
        for path in (
            "systemd/system/pm-native-ipc@.socket",
            "systemd/system/pm-native-ipc@.service",
            "sysusers.d/pm-native-ipc.conf",
        ):
            machine.path(f"/usr/lib/{path}").unlink()
        machine.run(["rm", "-r", "/usr/lib/pm-native"])
        machine.systemctl("daemon-reload")
