"""The switch on a real systemd: what is asked for runs, what is not touched runs on, what goes is gone."""

from __future__ import annotations

import pytest

from tests.machine.harness import CHECKOUT, until
from tests.machine.sites import Site, new_site, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine

SERVER = """\
import http.server, os, sys
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["PORT"].encode())
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Hello).serve_forever()
"""


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


def answer(machine: Machine, port: int) -> str:
    """What a server on this port of the machine says, "" where none listens."""
    code = (
        "import sys, urllib.request, urllib.error\n"
        "try: print(urllib.request.urlopen(f'http://127.0.0.1:{sys.argv[1]}/', timeout=30).read().decode())\n"
        "except urllib.error.URLError: pass\n"
    )
    return machine.run(["python3", "-c", code, str(port)]).stdout.strip()


@pytest.fixture
def shop(machine: Machine) -> Iterator[Site]:
    made = Site(machine, "shop")
    if machine.run(["id", "shop"], check=False).returncode:
        machine.run(["useradd", "--system", "shop"])
    machine.run(["cp", "-rT", str(CHECKOUT / "examples/shop"), "/srv/shop"])
    yield made
    made.remove()
    machine.run(["rm", "-rf", "/srv/shop", "/var/lib/shop"])


def test_shop_from_generated_set_to_running_and_a_second_apply_does_nothing(shop: Site) -> None:
    machine = shop.machine
    shop.pm_native("generate")
    shop.pm_native("apply", "--settle", "1")
    runs, files = shop.runs(), shop.files()
    assert {name for name in runs if name.endswith((".service", ".target", ".timer"))} == {
        "shop-migrate.service",
        "shop-report.timer",
        "shop-web.service",
        "shop-worker.target",
        "shop-worker@1.service",
        "shop-worker@2.service",
        "shop.target",
    }
    until(lambda: "shop" in answer(machine, 8080).lower(), what=lambda: answer(machine, 8080))
    done = shop.pm_native("apply")
    assert (done.stdout, done.stderr) == ("shop: nothing to do, 14 files unchanged\n", "")
    assert (shop.runs(), shop.files()) == (runs, files)
    assert shop.pm_native("plan").stdout == "shop: nothing to do, 14 files unchanged\n"


def test_shop_changed_in_one_line_restarts_what_that_line_is_about(shop: Site) -> None:
    shop.apply()
    before = shop.runs()
    text = shop.machine.read("/srv/shop/pm-native.toml")
    shop.write("pm-native.toml", text.replace('PACK_SECONDS = "0.5"', 'PACK_SECONDS = "0.6"'))
    assert shop.applied().steps == [
        "write shop-worker@.service",
        "reload-manager systemd",
        "restart shop-worker@1.service",
        "restart shop-worker@2.service",
    ]
    after = shop.runs()
    assert {name for name in before if after.get(name) != before[name]} == {
        "shop-worker@1.service",
        "shop-worker@2.service",
    }
    assert shop.environment("shop-worker@2.service")["PACK_SECONDS"] == "0.6"


def test_limits_of_a_slice_change_while_its_processes_run_on(shop: Site) -> None:
    shop.apply()
    before = shop.runs()
    text = shop.machine.read("/srv/shop/pm-native.toml")
    shop.write("pm-native.toml", text.replace('memory = "256M", tasks = 64', 'memory = "300M", tasks = 65'))
    assert shop.applied().steps == ["write shop-web.slice", "reload-manager systemd"]
    assert shop.runs() == before
    assert shop.machine.show("shop-web.slice", "MemoryMax", "TasksMax") == {
        "MemoryMax": str(300 << 20),
        "TasksMax": "65",
    }
    # The kernel has them, too, where this machine's tree has the controller.
    for path, value in (
        ("memory.max", str(300 << 20)),
        ("memory.limit_in_bytes", str(300 << 20)),
        ("pids.max", "65"),
    ):
        for tree in ("", "memory/", "pids/"):
            file = f"/sys/fs/cgroup/{tree}shop.slice/shop-web.slice/{path}"
            if shop.machine.path(file).exists():
                assert shop.machine.read(file).strip() == value


def test_removed_process_is_stopped_and_nothing_of_it_is_left(shop: Site) -> None:
    machine = shop.machine
    shop.apply()
    assert len(processes(machine, "worker.py")) == 2
    before = shop.runs()
    text = machine.read("/srv/shop/pm-native.toml")
    head, _, rest = text.partition("# A pool:")
    shop.write("pm-native.toml", head + rest[rest.index("# A timer") :])
    assert shop.applied().steps == [
        "stop shop-worker.target",
        "stop shop-worker@2.service",
        "stop shop-worker@1.service",
        "stop shop-worker.slice",
        "write shop.target",
        "delete shop-worker.env",
        "delete shop-worker.slice",
        "delete shop-worker.target",
        "delete shop-worker@.service",
        "reload-manager systemd",
    ]
    assert machine.show("shop-worker@1.service", "LoadState", "ActiveState") == {
        "LoadState": "not-found",
        "ActiveState": "inactive",
    }
    assert processes(machine, "worker.py") == []
    assert {name: run for name, run in before.items() if "worker" not in name} == shop.runs()
    # What generations keep, to go back to, is no part of what is installed.
    assert not [path for path in shop.files() if "worker" in path and "/generations/" not in path]


def test_removal_leaves_nothing_but_the_config_and_the_data(shop: Site) -> None:
    machine = shop.machine
    shop.apply()
    runs, files = shop.runs(), shop.files()
    *lines, _, told = shop.pm_native("remove", "shop", "--dry-run", code=2).stdout.splitlines()
    assert {line.partition("  ")[2] for line in lines} == {"the project is removed"}
    assert told == "shop: 14 to remove, 11 to stop, 0 unchanged"
    assert (shop.runs(), shop.files()) == (runs, files)
    shop.pm_native("remove", "shop")
    assert (shop.files(), shop.runs()) == ({}, {})
    assert machine.systemctl("list-units", "--all", "--no-legend", "shop*").stdout == ""
    assert machine.systemctl("list-unit-files", "--no-legend", "shop*", check=False).stdout == ""
    assert [name for name in ("web.js", "worker.py") if processes(machine, name)] == []
    for path in ("/etc/pm-native", "/var/lib/pm-native", "/run/pm-native-system-shop.lock"):
        assert not machine.path(path).exists()
    assert machine.path("/var/lib/shop/shop.db").exists()


def test_environment_file_reaches_the_program_exactly_and_is_for_root_alone(site: Site) -> None:
    values = {
        "QUOTES": "a\"b'c`d",
        "DOLLAR": "$HOME ${HOME} $$ %i %%",
        "SLASH": "a\\b\\\\",
        "ACCENT": "é → 日",
    }
    quoted = "".join(f"{name}='{value}'\n" for name, value in values.items() if "'" not in value)
    site.write("site.env", quoted + 'QUOTES="a\\"b\'c`d"\n')
    site.config('environment_files = ["site.env"]\n[process.web]\ncommand = "/bin/sleep infinity"\n')
    site.apply()
    found = site.environment(f"{site.name}-web.service")
    assert {name: found.get(name) for name in values} == values
    path = f"/etc/pm-native/{site.name}/{site.name}-web.env"
    assert site.machine.run(["stat", "-c", "%a %U", path]).stdout == "600 root\n"
    # Others could read it for a while: closed again, and nobody restarts for that.
    runs = site.runs()
    site.machine.run(["chmod", "644", path])
    assert site.applied().steps == [f"write {site.name}-web.env"]
    assert site.machine.run(["stat", "-c", "%a %U", path]).stdout == "600 root\n"
    assert site.runs() == runs
    assert site.machine.run(["stat", "-c", "%a", f"/etc/pm-native/{site.name}"]).stdout == "700\n"


def test_pool_scales_and_each_instance_has_the_port_of_its_number(site: Site) -> None:
    machine = site.machine
    site.write("server.py", SERVER)
    pool = '[process.api]\ncommand = "python3 server.py"\nlisten = {{ port = 3000 }}\ninstances = {}\n'

    def ports() -> list[str]:
        return [answer(machine, port) for port in range(3000, 3004)]

    def scaled(number: int) -> list[str]:
        site.config(pool.format(number))
        return [line for line in site.applied().steps if line.split()[0] in {"start", "stop", "restart"}]

    def wait_for(*wanted: str) -> None:
        until(lambda: ports() == list(wanted), what=lambda: repr(ports()))

    scaled(4)
    wait_for("3000", "3001", "3002", "3003")
    before = site.runs()
    name = f"{site.name}-api"
    assert scaled(2) == [f"stop {name}@4.service", f"stop {name}@3.service"]
    wait_for("3000", "3001", "", "")
    assert scaled(3) == [f"start {name}@3.service"]
    wait_for("3000", "3001", "3002", "")
    after = site.runs()
    assert [after[f"{name}@{number}.service"] for number in (1, 2)] == [
        before[f"{name}@{number}.service"] for number in (1, 2)
    ]


def test_timer_fires_and_follows_its_new_schedule_without_a_restart(site: Site) -> None:
    task = '[process.tick]\ncommand = "/bin/echo tick"\nschedule = "{}"\n'
    timer = f"{site.name}-tick.timer"
    site.config(task.format("*:*:*"))
    site.apply()

    def ticks() -> int:
        return site.machine.journal(f"{site.name}-tick.service").count("tick")

    until(lambda: ticks() >= 2, what=lambda: f"{ticks()} ticks")
    run = site.machine.show(timer, "InvocationID")
    site.config(task.format("2099-01-02 03:04:05"))
    assert site.applied().steps == [f"write {timer}", "reload-manager systemd"]
    assert site.machine.show(timer, "InvocationID") == run
    assert (
        "2099-01-02 03:04:05" in site.machine.show(timer, "NextElapseUSecRealtime")["NextElapseUSecRealtime"]
    )


def test_task_that_others_need_runs_first_and_its_change_runs_all_again(site: Site) -> None:
    text = (
        '[process.web]\ncommand = "/bin/sleep infinity"\ndepends_on = { migrate = "completed" }\n'
        f'[process.migrate]\ncommand = ["sh", "-c", "sleep 0.2; echo {{}} >>/run/{site.name}.log"]\nkind = "task"\n'
        f'[process.free]\ncommand = "/bin/sleep infinity"\n'
    )
    log = f"/run/{site.name}.log"
    site.config(text.replace("{}", "one"))
    site.apply()
    assert site.machine.read(log) == "one\n"
    before = site.runs()
    site.config(text.replace("{}", "two"))
    assert site.applied().steps[2:] == [
        f"restart {site.name}-migrate.service",
        f"restart {site.name}-web.service",
    ]
    assert site.machine.read(log) == "one\ntwo\n"
    after = site.runs()
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {f"{site.name}-migrate.service", f"{site.name}-web.service"}
