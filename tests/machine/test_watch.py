"""Restarting on changed files, on a real systemd."""

from __future__ import annotations

import re

import pytest

from tests.machine.harness import until
from tests.machine.sites import Site, new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine

# Each start of a program writes what it found in its file: "ran TEXT".
PROGRAM = 'echo "ran $(cat "$0")"; . "./$0"; exec sleep infinity'


def process(name: str, *lines: str, program: str = PROGRAM) -> str:
    folder = name.partition("-")[0]
    command = f"command = ['sh', '-c', '{program}', '{folder}/app']"
    return "\n".join([f"[process.{name}]", command, *lines, ""])


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


@pytest.fixture
def host_site(host_machine: Machine) -> Iterator[Site]:
    yield from new_site(host_machine)


def unit(site: Site, name: str) -> str:
    return f"{site.name}-{name}.service"


def says(site: Site, name: str, words: str) -> str:
    """Wait until the journal of the unit has a line with these words; the line."""

    def lines() -> list[str]:
        return site.machine.journal(unit(site, name), user=site.user)

    def found() -> list[str]:
        return [line for line in lines() if words in line]

    until(lambda: bool(found()), what=lambda: "\n".join(lines()[-30:]))
    return found()[-1]


def is_in(site: Site, name: str, state: str) -> None:
    """Wait until the unit is in the state."""

    def shown() -> str:
        return site.machine.show(unit(site, name), "ActiveState", user=site.user)["ActiveState"]

    until(lambda: shown() == state, what=lambda: f"{name} is {shown()}, not {state}")


def run(site: Site, name: str) -> str:
    return site.machine.show(unit(site, name), "InvocationID", user=site.user)["InvocationID"]


def test_what_runs_restarts_when_its_files_change_and_says_why(site: Site) -> None:
    machine = site.machine
    for name in ("web", "still", "broken", "grim", "api", "task"):
        site.write(f"{name}/app", "# 1\n")
    site.write("broken/app", "exit 1\n")
    site.write("grim/app", "trap 'exit 3' TERM; while :; do sleep 0.1; done\n")
    site.config(
        process("web", 'watch = { paths = "web/**", ignore = ["gen"] }')
        + process("still", 'watch = "still"')
        + process("broken", 'watch = "broken"', 'restart = { limit = 1, delay = "50ms" }')
        + process("grim", 'watch = "grim"')
        + process("api", "instances = 2", 'watch = "api/app"')
        + process("task", 'kind = "task"', 'watch = "task"', program='echo "ran $(cat $0)"')
    )
    site.apply(code=4)  # broken is
    is_in(site, "broken", "failed")

    # Saved: the journals of both say why, and it is the program's own restart, not the watcher's.
    watcher = run(site, "web-watch")
    site.write("web/gen/ignored", "x")
    site.write("web/x.log", "x")
    site.write("web/app", "# 2\n")
    assert says(site, "web", "ran # 2")
    assert says(site, "web", " changed: restarting ") == f"web/app changed: restarting {unit(site, 'web')}"
    assert says(site, "web-watch", " changed: ") == f"web/app changed: restarting {unit(site, 'web')}"
    site.write("web/new/deep/folder/part", "x")
    says(site, "web", "web/new/deep/folder/part changed: restarting")
    site.write("web/new/deep/folder/later", "x")
    says(site, "web", "web/new/deep/folder/later changed: restarting")
    assert run(site, "web-watch") == watcher

    # What somebody stopped stays so, also where the program was not polite about it.
    machine.systemctl("stop", unit(site, "still"), unit(site, "grim"))
    is_in(site, "grim", "failed")
    for name in ("still", "grim"):
        site.write(f"{name}/app", "# 2\n")
        said = says(site, f"{name}-watch", " changed: ")
        assert said == f"{name}/app changed: nothing is restarted, {unit(site, name)} does not run"
    assert machine.show(unit(site, "still"), "ActiveState") == {"ActiveState": "inactive"}
    assert machine.show(unit(site, "grim"), "ActiveState") == {"ActiveState": "failed"}

    # What failed comes back when it is mended, however often it was saved with a mistake in it.
    for text in ("exit 2\n", "exit 3\n", "exit 4\n"):
        site.write("broken/app", text)
        says(site, "broken", f"ran {text.strip()}")
        is_in(site, "broken", "failed")
    site.write("broken/app", "# mended\n")
    says(site, "broken", "ran # mended")
    is_in(site, "broken", "active")

    site.write("api/app", "# 2\n")
    for number in (1, 2):
        says(site, f"api@{number}", "ran # 2")
        assert says(site, f"api@{number}", " changed: ") == (
            f"api/app changed: restarting {unit(site, 'api@1')}, {unit(site, 'api@2')}"
        )
    site.write("task/app", "# 2\n")
    says(site, "task", "ran # 2")

    # The watchers belong to the project: not to its processes, and they go with it.
    shown = machine.show(unit(site, "web-watch"), "Slice", "StatusText", "User", "MemoryCurrent")
    assert shown["Slice"] == f"{site.name}.slice"
    assert shown["StatusText"] == f"watching 5 folders for {unit(site, 'web')}"
    rows = site.pm_native("status", code=4).stdout
    assert re.search(r"^web-watch +active", rows, re.MULTILINE), rows
    site.write(
        "pm-native.toml", machine.read(f"{site.folder}/pm-native.toml").replace('watch = "still"', "")
    )
    assert f"stop {unit(site, 'still-watch')}" in site.applied().steps
    machine.systemctl("stop", f"{site.name}.target")

    def services() -> list[str]:
        return [name for name in site.runs() if name.endswith(".service")]

    until(lambda: not services(), what=lambda: str(services()))


def test_program_that_writes_its_own_files_is_slowed_down(host_site: Site) -> None:
    site = host_site
    site.write("self/app", "echo x >>self/state\n")
    site.write("self/note", "1")
    site.config(process("self", 'watch = { paths = "self", delay = "50ms" }'))
    site.apply()
    site.write("self/note", "2")
    said = says(site, "self-watch", "the restart waits 2 s")
    assert re.fullmatch(
        r"self/state changed \d\.\d s after the last restart, as after those before: the program seems to write it"
        r" itself, so the restart waits 2 s\. `ignore` it in the config of `watch`, or have the program write elsewhere",
        said,
    )
    # Another file does not wait.
    site.write("self/note", "3")
    assert says(site, "self-watch", "self/note and 1 more changed: ")


def test_pool_that_is_reloaded_restarts_one_by_one_and_stops_at_a_mistake(host_site: Site) -> None:
    site = host_site
    site.write("api/app", "# 1\n")
    lines = ("instances = 3", 'on_change = "reload"', 'watch = "api"', "notify = true")
    program = 'echo "ran $(cat "$0")"; . "./$0"; systemd-notify --ready; exec sleep infinity'
    site.config(process("api", *lines, program=program))
    site.apply()
    before = [run(site, f"api@{number}") for number in (1, 2, 3)]
    site.write("api/app", "exit 9\n")
    says(site, "api-watch", f"left as they are: {unit(site, 'api@2')}, {unit(site, 'api@3')}")
    assert [run(site, f"api@{number}") for number in (2, 3)] == before[1:]
    site.write("api/app", "# 2\n")
    for number in (1, 2, 3):
        says(site, f"api@{number}", "ran # 2")


def test_users_own_manager(machine: Machine) -> None:
    user = machine.user_session("ada")
    site = Site(machine, "mywatch", user)
    site.write("web/app", "# 1\n")
    site.config(process("web", 'watch = "web"'))
    machine.run(["chown", "--recursive", f"{user}:{user}", f"/home/{user}"])
    site.apply()
    site.write("web/app", "# 2\n")
    says(site, "web", "ran # 2")
    assert says(site, "web", " changed: ") == f"web/app changed: restarting {unit(site, 'web')}"
    site.remove()
