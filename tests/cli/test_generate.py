"""`pm-native generate`: what it writes, what it leaves alone, and how it says so."""

from __future__ import annotations

import json
import sys

import pytest

from tests.cli.shop import CONFIG, Ran

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.shop import Shop

FILES = [
    "pm-native-manifest.json",
    "shop-web.service",
    "shop-worker.target",
    "shop-worker@.service",
    "shop.slice",
    "shop.target",
]
BROKEN = '[project]\nname = "shop"\n\n[process.web]\ncomand = "true"\n'


def test_first_run_writes_all_files(shop: Shop) -> None:
    assert shop.generate() == Ran(
        0,
        "+ shop-web.service\n"
        "+ shop-worker.target\n"
        "+ shop-worker@.service\n"
        "+ shop.slice\n"
        "+ shop.target\n"
        "build/systemd: 5 new, 0 unchanged, for systemd 252\n",
        "next: pm-native apply\n",
    )
    assert [*shop.files()] == FILES


def test_second_run_writes_nothing(shop: Shop) -> None:
    shop.generate()
    before = shop.files()
    assert shop.generate() == Ran(
        0, "build/systemd: 5 unchanged, for systemd 252\n", "next: pm-native apply\n"
    )
    assert shop.files() == before


def test_what_changed_alone_is_written(shop: Shop) -> None:
    shop.generate()
    before = shop.files()
    shop.write(CONFIG.replace("instances = 2", "instances = 3"))
    assert shop.generate().out == (
        "~ shop-worker.target\n~ shop-worker@.service\nbuild/systemd: 2 changed, 3 unchanged, for systemd 252\n"
    )
    changed = {name for name, time in shop.files().items() if time != before[name]}
    assert changed == {"shop-worker.target", "shop-worker@.service", "pm-native-manifest.json"}


def test_files_of_a_removed_process_go_and_foreign_ones_stay(shop: Shop) -> None:
    shop.generate()
    (shop.folder / "build/systemd/mine.service").write_text("[Service]\n", encoding="utf-8")
    shop.write(CONFIG[: CONFIG.index("[process.worker]")])
    assert shop.generate().out == (
        "~ shop.target\n"
        "- shop-worker.target\n"
        "- shop-worker@.service\n"
        "build/systemd: 1 changed, 2 removed, 2 unchanged, for systemd 252\n"
    )
    assert [*shop.files()] == [
        "mine.service",
        "pm-native-manifest.json",
        "shop-web.service",
        "shop.slice",
        "shop.target",
    ]


def test_edited_file_is_written_again(shop: Shop) -> None:
    shop.generate()
    path = shop.folder / "build/systemd/shop.target"
    text = path.read_text(encoding="utf-8")
    path.write_text("edited", encoding="utf-8")
    assert shop.generate().out.startswith("~ shop.target\n")
    assert path.read_text(encoding="utf-8") == text


def test_nothing_is_written_when_there_is_an_error(shop: Shop) -> None:
    shop.generate()
    before = shop.files()
    shop.write(BROKEN)
    ran = shop.generate()
    assert (ran.code, ran.out) == (78, "")
    assert shop.files() == before


def test_environment_files_are_for_their_owner_alone(shop: Shop) -> None:
    shop.write("PASSWORD=hunter2\n", "secret.env")
    shop.write(CONFIG.replace('name = "shop"', 'name = "shop"\nenvironment_files = "secret.env"'))
    ran = shop.generate()
    assert ran.code == 0
    assert "hunter2" not in ran.out + ran.err
    modes = {
        path.name: oct(path.stat().st_mode & 0o777)
        for path in (shop.folder / "build/systemd").iterdir()
        if "web" in path.name
    }
    assert modes == {"shop-web.env": "0o600", "shop-web.service": "0o644"}
    holders = [
        path.name for path in (shop.folder / "build/systemd").iterdir() if "hunter2" in path.read_text()
    ]
    assert sorted(holders) == ["shop-web.env", "shop-worker.env"]


FULL = """\
pm-native.toml:5:1: error: unknown key 'comand' [unknown-key]
  5 | comand = "true"
    | ^^^^^^
  hint: did you mean 'command'?
pm-native.toml:4:10: error: the key 'command' is missing [missing-key]
  4 | [process.web]
    |          ^^^
  hint: command = ["node", "server.js"]
2 errors
"""
CONCISE = """\
pm-native.toml:5:1: error: unknown key 'comand' [unknown-key]
pm-native.toml:4:10: error: the key 'command' is missing [missing-key]
"""
GITHUB = """\
::error file=pm-native.toml,line=5,col=1,title=unknown-key::unknown key 'comand' (hint: did you mean 'command'?)
::error file=pm-native.toml,line=4,col=10,title=missing-key::the key 'command' is missing \
(hint: command = ["node", "server.js"])
"""


@pytest.mark.parametrize(
    ("arguments", "out", "err"),
    [
        ((), "", FULL),
        (("--format", "full"), "", FULL),
        (("--format", "concise"), "", CONCISE),
        (("--format", "github"), GITHUB, ""),
    ],
)
@pytest.mark.parametrize("command", ["generate", "check"])
def test_problems_in_each_format(
    shop: Shop, command: str, arguments: tuple[str, ...], out: str, err: str
) -> None:
    shop.write(BROKEN)
    assert shop.run(command, "-f", "pm-native.toml", *arguments) == Ran(78, out, err)


@pytest.mark.parametrize("command", ["generate", "check"])
def test_json_diagnostics_are_all_that_stdout_has(shop: Shop, command: str) -> None:
    shop.write(CONFIG.replace("exec sleep 9'", "exec sleep 9' > x", 1))
    ran = shop.run(command, "-f", "pm-native.toml", "--systemd-version", "252", "--format", "json")
    assert ran.code == 0
    assert json.loads(ran.out) == {
        "version": 1,
        "diagnostics": [
            {
                "severity": "warning",
                "code": "needs-shell",
                "message": "'>' means something to a shell only",
                "hint": "shell = true runs it by /bin/sh -c; a list of words takes it literally",
                "file": "pm-native.toml",
                "line": 5,
                "column": 1,
                "end_column": 8,
                "path": "",
            }
        ],
    }
    assert "systemd 252" in ran.err


def test_warnings_become_errors_when_strict(shop: Shop) -> None:
    shop.write(CONFIG.replace("exec sleep 9'", "exec sleep 9' > x", 1))
    assert shop.generate().code == 0
    assert shop.generate("--strict").code == 78


def test_odd_file_names_do_not_end_a_github_annotation(shop: Shop) -> None:
    shop.write(BROKEN, "a,b:c%.toml")
    ran = shop.run("check", "-f", "a,b:c%.toml", "--format", "github")
    assert ran.out.startswith("::error file=a%2Cb%3Ac%25.toml,line=5,col=1,title=unknown-key::")


def test_config_in_another_folder_makes_paths_that_systemd_takes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = shop.folder / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    ran = shop.run("generate", "-f", "../pm-native.toml", "--systemd-version", "252")
    assert ran.code == 0
    text = (below / "build/systemd/shop-web.service").read_text(encoding="utf-8")
    assert f"WorkingDirectory={shop.folder}\n" in text
    assert ".." not in text


def test_other_users_and_hosts_are_compiled_for(shop: Shop) -> None:
    ran = shop.generate("--user", "--project", "other", "-o", "out")
    assert (ran.code, ran.err) == (0, "next: pm-native apply --user --from out\n")
    assert "WantedBy=default.target" in (shop.folder / "out/other.target").read_text(encoding="utf-8")
    missing = shop.generate("--root", str(shop.folder))
    assert (missing.code, missing.err.count("[program-missing]")) == (78, 2)
    assert shop.generate("--root", str(shop.folder), "--allow-missing").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("-f", "nothing.toml"), 64, "there is no file nothing.toml"),
        (("-f", "shop.ini"), 64, "cannot tell the format of shop.ini"),
        (("--systemd-version", "new"), 64, "--systemd-version: not a version to compile for: 'new'"),
        (("--systemd-version", "100"), 64, "auto, or a number from 249 on"),
        (("--project", "a b"), 64, "--project: not a valid name: 'a b'"),
        (("--formation", "web"), 64, "not a formation: 'web'"),
        (("--base-port", "0"), 64, "'--base-port'"),
        (("extra",), 64, "unexpected extra argument"),
        (("-o", "pm-native.toml"), 64, "pm-native.toml"),
        (("-o", "pm-native.toml/below"), 69, "cannot write pm-native.toml/below"),
    ],
)
def test_wrong_command_lines_write_nothing(
    shop: Shop, arguments: tuple[str, ...], code: int, words: str
) -> None:
    shop.write("", "shop.ini")
    given = () if "-f" in arguments else ("-f", "pm-native.toml")
    ran = shop.run("generate", *given, *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err
    assert not (shop.folder / "build").exists()


@pytest.mark.parametrize(
    ("variables", "is_coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, False),
    ],
    ids=["pipe", "forced", "none", "none-wins", "empty"],
)
def test_colour_follows_the_environment(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    is_coloured: bool,  # noqa: FBT001
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ran = shop.generate()
    assert ("\x1b[32m+ shop-web.service\x1b[0m" in ran.out) == is_coloured
    assert ("\x1b[" in ran.out + ran.err) == is_coloured
    shop.write(BROKEN)
    assert ("\x1b[1;31merror:\x1b[0m" in shop.generate().err) == is_coloured


def test_ports_of_a_procfile_stay_when_an_entry_is_added(shop: Shop) -> None:
    (shop.folder / "pm-native.toml").unlink()
    shop.write("web: sleep $PORT\nworker: sleep 9\n", "Procfile")
    first = shop.run("generate", "--project", "shop")
    assert (first.code, first.out.split("\n")[0]) == (
        0,
        "wrote Procfile.lock: the ports stay as they are; keep it with the config",
    )
    shop.write("admin: sleep 9\nweb: sleep $PORT\nworker: sleep 9\n", "Procfile")
    second = shop.run("generate", "--project", "shop")
    assert "PORT is: admin 5200, web 5000, worker 5100" in second.err
    assert "Environment=PORT=5000\n" in (shop.folder / "build/systemd/shop-web.service").read_text()
    assert second.out.startswith("wrote Procfile.lock: ")
    assert not shop.run("generate", "--project", "shop").out.startswith("wrote")


def watched(shop: Shop, monkeypatch: pytest.MonkeyPatch, library: Path, **environment: str) -> str:
    """The command of a watcher, with the library that it needs in this folder."""
    (library / "inotify").mkdir(parents=True)
    (library / "inotify/__init__.py").touch()
    monkeypatch.delitem(sys.modules, "inotify", raising=False)
    monkeypatch.syspath_prepend(str(library))
    for name, value in environment.items():
        monkeypatch.setattr(sys, name, value)
    shop.write(CONFIG.replace("[process.worker]", 'watch = "."\n\n[process.worker]'))
    assert shop.generate().code == 0
    text = (shop.folder / "build/systemd/shop-web-watch.service").read_text(encoding="utf-8")
    return next(line for line in text.splitlines() if line.startswith("ExecStart="))


def test_library_of_a_virtualenv_is_named_to_the_units(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Their interpreter is the one below the virtualenv, which does not see what is in it.
    command = watched(shop, monkeypatch, tmp_path / "venv", prefix="/opt/venv", base_prefix="/usr")
    assert f" --library={tmp_path}/venv " in command
    assert "/runtime/watch/__main__.py " in command


def test_library_of_the_whole_host_is_found_without_a_word(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = watched(shop, monkeypatch, tmp_path / "host", prefix="/usr", base_prefix="/usr")
    assert "--library=" not in command


def test_library_that_is_not_there_ends_it_with_the_way_out(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "inotify", None)  # what the import system takes for "there is none"
    shop.write(CONFIG.replace("[process.worker]", 'watch = "."\n\n[process.worker]'))
    ran = shop.generate()
    assert (ran.code, ran.out, shop.files()) == (78, "", {})
    assert "watching files needs the Python library inotify" in ran.err
    assert "hint: apt-get install python3-inotify, or pip install 'pm-native[watch]'" in ran.err
