"""`pm-native import`: a config of ours from a foreign one, with a report; the units of both are the same."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from pm_native.importers.registry import importer
from tests.importers.helpers import needs_node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.cli.shop import Shop

ROOT = Path(__file__).parent.parent.parent
CASES = ROOT / "tests/cases/importers"
NAMES = sorted(
    str(path.parent.relative_to(CASES))
    for path in CASES.glob("*/*/expected.txt")
    if ": error: " not in path.read_text()
)
COMPOSE = """\
name: shop
services:
  web:
    command: node web.js
    ports: ["8080:80"]
    environment: { DB_PASSWORD: "it's secret", LANG: C }
    tty: true
  worker:
    command: sh -c 'work | tee log'
    environment: { LANG: C }
    restart: always
"""


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """The folder without a config in it."""
    (shop.folder / "pm-native.toml").unlink()
    return shop


def foreign(folder: Path) -> tuple[Path, list[str]]:
    """The config in the folder of a case, and the options that it is read with."""
    options = json.loads((folder / "options.json").read_text()) if (folder / "options.json").exists() else {}
    named = options.get("file")
    given: list[str] = []
    if "formation" in options:
        given += ["--formation", ",".join(f"{name}={count}" for name, count in options["formation"].items())]
    for key, option in (("base_port", "--base-port"), ("variant", "--env"), ("dialect", "--dialect")):
        if key in options:
            given += [option, str(options[key])]
    for profile in options.get("profiles", ()):
        given += ["--profile", profile]
    for name, value in options.get("environ", {}).items():
        os.environ[name] = value
    recognises = importer(folder.parent.name).recognises
    usual = next((path for path in sorted(folder.iterdir()) if recognises(path)), folder)
    return (folder / named if named else usual), given


@pytest.mark.parametrize("name", NAMES)
def test_units_of_the_imported_config_are_the_same(
    name: str, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    if name.startswith("pm2/"):
        needs_node()
    folder = shop.folder / name
    shutil.copytree(CASES / name, folder)
    path, options = foreign(folder)
    ran = shop.run("import", str(path), "-o", str(folder / "pm-native.toml"), *options)
    assert ran.code == 0, ran.err
    assert ran.out.endswith("the units of both configs are the same\n")


@pytest.mark.parametrize("example", ["pm2/ecosystem.config.js", "procfile/Procfile"])
def test_examples_can_be_imported(example: str, shop: Shop) -> None:
    if example.endswith(".js"):
        needs_node()
    ran = shop.run("import", str(ROOT / "examples" / example), "-o", str(shop.folder / "pm-native.toml"))
    assert ran.code == 0, ran.err
    assert ran.out.endswith("the units of both configs are the same\n")


def test_report_says_what_was_kept_changed_and_lost(shop: Shop) -> None:
    shop.write(COMPOSE, "compose.yaml")
    ran = shop.run("import", "compose.yaml")
    assert (ran.code, ran.out.replace(str(shop.folder), "$DIR")) == (
        0,
        """\
wrote pm-native.toml: 2 processes from compose.yaml (docker compose)
wrote $DIR/pm-native.env: secrets, and variables of environment files, for you alone to read

kept
  all: environment
  web: command, restart, stop, environment_files
  worker: command, restart, stop

changed in meaning
  compose.yaml:5:13: web was found at port 8080; it listens on 80 itself
    let the program listen on 8080, if others look for it there

lost
  compose.yaml:7:5: tty: no program has a terminal
    most programs take their colours from an option or FORCE_COLOR

the units of both configs are the same
""",
    )
    assert (
        ran.err
        == """\
reading compose.yaml as docker compose: it has `services`
next: look through pm-native.toml, then pm-native check -f pm-native.toml
"""
    )


def test_config_is_one_to_own(shop: Shop) -> None:
    shop.write(COMPOSE, "compose.yaml")
    assert shop.run("import", "compose.yaml").code == 0
    assert (
        (shop.folder / "pm-native.toml").read_text()
        == """\
# Imported from compose.yaml (docker compose). What is as usual is left out.
# Every key: `pm-native schema`, or docs/config.md. Next: pm-native generate && pm-native plan

[project]
name = "shop"
environment = { LANG = "C" }

# web was found at port 8080; it listens on 80 itself
# lost: tty: no program has a terminal
[process.web]
command = "node web.js"
restart = "no"
stop = { mode = "mixed" }
environment_files = ["pm-native.env"]

[process.worker]
command = "sh -c 'work | tee log'"
restart = { limit = 0 }
stop = { mode = "mixed" }
"""
    )
    secrets = shop.folder / "pm-native.env"
    assert (secrets.read_text(), secrets.stat().st_mode & 0o777) == ('DB_PASSWORD="it\'s secret"\n', 0o600)


def test_config_that_is_there_is_kept(shop: Shop) -> None:
    shop.write(COMPOSE, "compose.yaml")
    shop.write("mine", "pm-native.toml")
    ran = shop.run("import", "compose.yaml")
    assert (ran.code, ran.out) == (64, "")
    assert "error: pm-native.toml is there already\n" in ran.err
    assert (shop.folder / "pm-native.toml").read_text() == "mine"
    assert not (shop.folder / "pm-native.env").exists()
    assert shop.run("import", "compose.yaml", "--force").code == 0
    assert shop.run("import", "compose.yaml", "-o", "other.toml").code == 0
    assert (shop.folder / "other.toml").read_text().startswith("# Imported from compose.yaml")


def test_nothing_is_written_through_what_others_left_beside_it(shop: Shop) -> None:
    victim = shop.folder / "victim"
    for name in (".pm-native.toml.new", f".pm-native.toml.{os.getpid()}.new"):
        (shop.folder / name).symlink_to(victim)
    shop.write(COMPOSE, "compose.yaml")
    assert shop.run("import", "compose.yaml").code == 0
    assert not victim.exists()
    assert (shop.folder / "pm-native.toml").is_file()
    assert not (shop.folder / "pm-native.toml").is_symlink()


def test_print_writes_nothing(shop: Shop) -> None:
    shop.write(COMPOSE, "compose.yaml")
    ran = shop.run("import", "compose.yaml", "--print")
    assert (ran.code, ran.out.split("\n")[3]) == (0, "[project]")
    assert [path.name for path in shop.folder.iterdir()] == ["compose.yaml"]


def test_report_for_programs(shop: Shop) -> None:
    shop.write(COMPOSE, "compose.yaml")
    told = json.loads(shop.run("import", "compose.yaml", "--json").out)
    assert told["data"]["kept"]["worker"] == ["command", "restart", "stop"]
    assert [item["code"] for item in told["data"]["lost"]] == ["compose-lost"]
    assert [item["code"] for item in told["data"]["changed"]] == ["compose-port"]
    assert told["exit_code"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 64, "there is no config in this folder"),
        (("missing.yaml",), 64, "there is no file missing.yaml"),
        (("broken.yaml",), 78, "broken.yaml:2:3: error: "),
        (("pm-native.yaml",), 64, "pm-native.yaml is a config of pm-native's own"),
        (("Procfile", "other"), 64, "-f: Procfile takes no other file over it"),
        (("compose.yaml", "--project", "a b"), 64, "--project: not a valid name: 'a b'"),
        (("compose.yaml", "-o", "nowhere/x.toml"), 77, "cannot write nowhere/x.toml"),
        (("compose.yaml", "--strict"), 78, "tty: no program has a terminal"),
    ],
)
def test_what_cannot_be_imported_leaves_nothing(
    shop: Shop, arguments: tuple[str, ...], code: int, words: str
) -> None:
    if arguments:
        shop.write(COMPOSE, "compose.yaml")
        shop.write("services:\n  - 5\n", "broken.yaml")
        shop.write("web: sleep 9\n", "Procfile")
        shop.write("process: {web: {command: sleep 9}}\n", "pm-native.yaml")
    before = sorted(path.name for path in shop.folder.iterdir())
    ran = shop.run("import", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err
    assert sorted(path.name for path in shop.folder.iterdir()) == before


def test_files_are_laid_over_each_other(shop: Shop) -> None:
    shop.write(COMPOSE, "compose.yaml")
    shop.write("services:\n  web:\n    command: node over.js\n", "prod.yaml")
    assert 'command = "node over.js"' in shop.run("import", "compose.yaml", "prod.yaml", "--print").out


def test_window_of_a_limit_is_what_the_compiler_makes_of_it(shop: Shop) -> None:
    """PM2's importer works a window out; one that waits for `ready` needs a longer one to count slow failures."""
    app = {
        "name": "web",
        "script": "server",
        "interpreter": "none",
        "wait_ready": True,
        "listen_timeout": 5000,
    }
    shop.write(json.dumps({"apps": [{**app, "exp_backoff_restart_delay": 100}]}), "ecosystem.json")
    ran = shop.run("import", "ecosystem.json")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "the units of both configs are the same"), ran.err
    assert 'window = "34min 7s"' in (shop.folder / "pm-native.toml").read_text()


def test_what_does_not_compile_is_told_at_its_place_in_the_foreign_config(shop: Shop) -> None:
    web = "processes:\n  cache: {command: sleep 9}\n  web:\n    command: sleep 9\n    depends_on:\n"
    shop.write(f"{web}      db: {{condition: process_started}}\n", "process-compose.yaml")
    ran = shop.run("import", "process-compose.yaml")
    assert (ran.code, ran.out) == (78, "")
    assert (
        ran.err
        == """\
reading process-compose.yaml as process-compose: it has `processes`
process-compose.yaml:6:7: error: depends on 'db', which is not a process of this project [unknown-dependency]
  6 |       db: {condition: process_started}
    |       ^^
  hint: there are: cache
1 error
"""
    )
    assert not (shop.folder / "pm-native.toml").exists()


def test_instances_that_share_a_socket_get_no_limit_to_be_warned_of(shop: Shop) -> None:
    app = {"name": "web", "script": "web.js", "instances": 2, "exec_mode": "cluster", "env": {"PORT": 3000}}
    (shop.folder / "web.js").touch()
    shop.write(json.dumps({"apps": [{**app, "max_restarts": 5}]}), "ecosystem.json")
    assert shop.run("import", "ecosystem.json").code == 0
    assert 'restart = { delay = "100ms" }\n' in (shop.folder / "pm-native.toml").read_text()
    assert shop.run("check").err == "using pm-native.toml\n"
