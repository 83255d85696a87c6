"""What root is asked to apply and somebody else could have written: refused, and nothing is changed."""

from __future__ import annotations

import os
import shlex
import sys
from typing import NoReturn

import pytest

from pm_native.cli.main import run
from pm_native.compile.project import compile_project
from pm_native.errors import AccessError
from pm_native.state.store import Store
from tests.cli.switch_host import CONFIG, SwitchHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.host import Said

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to mind whose files it reads")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> SwitchHost:
    return SwitchHost(tmp_path, monkeypatch, capsys)


def refused(host: SwitchHost, path: Path, line: str) -> None:
    """The command is refused because of the path, and has done nothing."""
    said = host(line)
    words = f"root acts on nothing that others can write: {path} is open to everybody"
    assert (said.code, said.out) == (77, "")
    assert said.err.endswith(f"error: {words}\n  hint: close it: chmod go-w {path}\n")
    assert not host.units.exists()
    assert host.manager.calls == []


@pytest.mark.parametrize("verb", ["plan", "apply"])
@pytest.mark.parametrize("name", ["", "pm-native.toml", "shop.env"])
def test_config_or_environment_file_that_others_can_write_is_refused(
    host: SwitchHost, verb: str, name: str
) -> None:
    path = host.home / name
    path.chmod(0o777)
    refused(host, path, f"{verb} --user -f pm-native.toml")
    path.chmod(0o700)


def test_config_that_is_a_program_is_not_run(host: SwitchHost) -> None:
    program = host.home / "ecosystem.config.js"
    program.write_text("require('fs').writeFileSync('ran', '')\n")
    program.chmod(0o666)
    refused(host, program, "apply --user -f ecosystem.config.js")
    assert not (host.home / "ran").exists()


@pytest.mark.parametrize(
    "line", ["check -f", "explain -f", "generate -f", "import --print", "package --deb -f"]
)
def test_config_that_is_a_program_of_others_is_not_run_by_root_for_anything(
    host: SwitchHost, line: str
) -> None:
    program = host.home / "ecosystem.config.js"
    program.write_text("require('fs').writeFileSync('ran', '')\n")
    os.chown(program, 4711, -1)
    said = host(f"{line} ecosystem.config.js")
    assert (said.code, said.out) == (77, "")
    assert f"error: root acts on nothing of others: {program} belongs to user 4711\n" in said.err
    assert not (host.home / "ran").exists()


@pytest.mark.parametrize(
    "name",
    [
        "build/systemd",
        "build/systemd/pm-native-manifest.json",
        "build/systemd/shop-web.service",
        "build/systemd/shop-web.env",
        "shop.env",
    ],
)
def test_generated_set_or_source_that_others_can_write_is_refused(host: SwitchHost, name: str) -> None:
    assert host("generate --user -f pm-native.toml").code == 0
    path = host.home / name
    path.chmod(0o777)
    refused(host, path, "apply --user")
    path.chmod(0o700)


def test_saved_plan_that_others_can_write_is_refused(host: SwitchHost) -> None:
    assert host("plan --user -f pm-native.toml -o shop.plan").code == 2
    path = host.home / "shop.plan"
    path.chmod(0o666)
    refused(host, path, "apply --user shop.plan")


def test_folder_that_is_written_to_and_open_to_others_is_refused(host: SwitchHost) -> None:
    host.units.mkdir(parents=True)
    host.units.chmod(0o777)
    said = host("apply --user -f pm-native.toml --settle 0")
    assert said.code == 77
    assert f"root acts on nothing that others can write: {host.units} is open to everybody" in said.err
    assert list(host.units.iterdir()) == []


def test_caller_by_sudo_is_trusted_and_nobody_else(
    host: SwitchHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(host.home / "pm-native.toml", 4711, -1)
    said = host("plan --user -f pm-native.toml")
    assert (said.code, "pm-native.toml belongs to user 4711" in said.err) == (77, True)
    monkeypatch.setenv("SUDO_UID", "4711")
    assert host("plan --user -f pm-native.toml").code == 2
    monkeypatch.setenv("SUDO_UID", "4712")
    assert host("plan --user -f pm-native.toml").code == 77


@pytest.mark.parametrize("name", ["pm-native.toml", "shop.env"])
def test_source_that_is_swapped_while_it_is_compiled_is_refused(
    host: SwitchHost, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What was compiled came by the names of the files: it must be what the files hold that were looked at."""
    path = host.home / name

    def swapped(*args: object) -> object:
        path.write_text(path.read_text() + "# another\n")
        return compile_project(*args)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr("pm_native.compile.project.compile_project", swapped)
    said: Said = host("apply --user -f pm-native.toml")
    assert (said.code, said.out, said.err) == (
        1,
        "",
        f"error: {path} has changed while it was read\n  hint: run the command again\n",
    )
    assert not host.units.exists()


def test_environment_file_that_others_came_to_read_is_closed_and_nothing_restarts(host: SwitchHost) -> None:
    host.config(CONFIG)
    assert host("apply --user -f pm-native.toml --settle 0").code == 0
    path = host.home / ".config/pm-native/shop/shop-web.env"
    assert path.stat().st_mode & 0o7777 == 0o600
    path.chmod(0o644)
    said = host("apply --user -f pm-native.toml --settle 0")
    assert (said.code, said.err.splitlines()[0]) == (0, "~ shop-web.env  others could read or change it")
    assert [call for call in host.manager.calls if not call.startswith(("states", "list"))] == []
    assert path.stat().st_mode & 0o7777 == 0o600
    path.parent.chmod(0o755)
    host.config(CONFIG.replace("1000", "1001"))
    (host.home / "shop.env").write_text('KEY="another"\n')
    assert host("apply --user -f pm-native.toml --settle 0").code == 0
    assert path.parent.stat().st_mode & 0o7777 == 0o700


def test_folders_are_closed_to_others_whatever_the_umask(host: SwitchHost) -> None:
    old = os.umask(0)
    try:
        assert host("apply --user -f pm-native.toml --settle 0").code == 0
    finally:
        os.umask(old)
    modes = {
        str(path.relative_to(host.home)): path.stat().st_mode & 0o777
        for place in (host.home / ".config", host.home / ".local")
        for path in [place, *place.rglob("*")]
        if path.is_dir()
    }
    private = {name for name, mode in modes.items() if mode == 0o700}
    assert private == {
        ".config/pm-native/shop",
        ".local/state/pm-native/shop",
        ".local/state/pm-native/shop/generations",
        ".local/state/pm-native/shop/generations/1",
        ".local/state/pm-native/shop/generations/1/files",
    }
    assert {mode for name, mode in modes.items() if name not in private} == {0o755}


def test_who_may_not_read_the_records_sees_what_the_unit_files_say(
    host: SwitchHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host("apply --user -f pm-native.toml --settle 0").code == 0

    def refuse(_: Store) -> NoReturn:
        raise AccessError("cannot read the record: permission denied", hint="use sudo")

    monkeypatch.setattr(Store, "load", refuse)
    said = host("plan --user -f pm-native.toml")
    assert (said.code, said.out) == (
        0,
        (
            "! shop has records that you may not read: taken as its unit files say, without what `scale` asked for"
            " (sudo pm-native plan)\n"
            "shop: nothing to do, 6 files unchanged\n"
        ),
    )
    said = host("apply --user -f pm-native.toml")
    assert (said.code, said.err) == (
        77,
        "error: cannot read the record: permission denied\n  hint: use sudo\n",
    )


def test_plan_that_was_saved_without_rights_is_applied_with_them(
    host: SwitchHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Store) -> NoReturn:
        raise AccessError("cannot read the record: permission denied")

    assert host("apply --user -f pm-native.toml --settle 0").code == 0
    host.config(CONFIG.replace("1000", "1001"))
    with monkeypatch.context() as patch:
        patch.setattr(Store, "load", refuse)
        said = host("plan --user -f pm-native.toml -o shop.plan")
    assert (said.code, "records that you may not read" in said.out) == (2, True)
    said = host("apply --user shop.plan --settle 0")
    assert (said.code, said.err.count("restart shop-web.service")) == (0, 2), said.err
    assert host.manager.calls == ["daemon-reload", "restart shop-web.service"]


@pytest.mark.parametrize(
    ("program", "words", "line"),
    [
        ("/opt/x y/pm-native", "history shop", "sudo '/opt/x y/pm-native' history shop"),
        (
            "/opt/pm_native/__main__.py",
            "diff --project 'a b'",
            "sudo /usr/bin/python3 -m pm_native diff --project 'a b'",
        ),
    ],
)
def test_who_is_not_root_is_told_the_very_line_to_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], program: str, words: str, line: str
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AccessError("cannot read the record: permission denied", hint="use sudo", needs_root=True)

    monkeypatch.setattr("pm_native.cli.switch.installed_project", refuse)
    monkeypatch.setattr(sys, "argv", [program])
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run(shlex.split(words)) == 77
    error = "error: cannot read the record: permission denied\n"
    assert capsys.readouterr().err == f"{error}  hint: run it as root: {line}\n"
    # Root would do something else, or is refused itself.
    assert run([*shlex.split(words), "--user"]) == 77
    assert capsys.readouterr().err == f"{error}  hint: use sudo\n"


@pytest.mark.parametrize("name", ["../a", "a/b", "/etc/a", "..", "a\\nb", "-a", "a@b", "a b", ""])
def test_name_that_would_lead_elsewhere_is_refused(host: SwitchHost, name: str) -> None:
    for text in (
        f'[project]\nname = "{name}"\n[process.a]\ncommand = "/bin/sleep 1"\n',
        f'[project]\nname = "shop"\n[process."{name}"]\ncommand = "/bin/sleep 1"\n',
        f'[project]\nname = "shop"\n[process.a]\ncommand = "/bin/sleep 1"\n[process.a.systemd."{name}"]\nA = "b"\n',
    ):
        host.config(text)
        said = host("apply --user -f pm-native.toml")
        assert (said.code, said.out) == (78, "")
    assert not host.units.exists()


@pytest.mark.parametrize(
    "name",
    [
        *("etc", "etc/systemd/system", "var/lib", "run", "etc/systemd/system/multi-user.target.wants"),
        *("etc/pm-native/shop", "var/lib/pm-native/shop", "var/lib/pm-native/shop/generations", "var/log"),
    ],
)
def test_root_whose_folder_is_a_link_out_of_it_is_refused(
    host: SwitchHost, tmp_path: Path, name: str
) -> None:
    (tmp_path / "outside").mkdir(0o755)
    mode = (tmp_path / "outside").stat().st_mode
    link = tmp_path / "image" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "outside")
    host.config(CONFIG + 'logs = { stdout = "/var/log/shop/api.log" }\n')
    said = host("apply --root image -f pm-native.toml --allow-missing")
    words = f" is a link that leads out of {tmp_path / 'image'}\n"
    assert (said.code, words in said.err) == (64, True), said.err
    assert list((tmp_path / "outside").iterdir()) == []
    assert (tmp_path / "outside").stat().st_mode == mode


def test_root_whose_records_somebody_else_could_write_is_refused(host: SwitchHost, tmp_path: Path) -> None:
    records = tmp_path / "image/var/lib"
    records.mkdir(parents=True)
    os.chown(records, 4711, -1)
    said = host("apply --root image -f pm-native.toml --allow-missing")
    assert (said.code, f"root acts on nothing of others: {records} belongs to user 4711" in said.err) == (
        77,
        True,
    )
    assert list(records.iterdir()) == []


def test_history_that_is_a_link_is_not_written_through(host: SwitchHost, tmp_path: Path) -> None:
    history = tmp_path / "image/var/lib/pm-native/shop/history.jsonl"
    history.parent.mkdir(parents=True)
    history.symlink_to(tmp_path / "victim")
    said = host("apply --root image -f pm-native.toml --allow-missing")
    assert (said.code, f"cannot write {history}: Too many levels of symbolic links" in said.err) == (
        69,
        True,
    )
    assert not (tmp_path / "victim").exists()
