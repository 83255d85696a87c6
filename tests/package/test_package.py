"""`pm-native package`: what goes into a package, what is refused, and that the same project makes the same bytes."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from pm_native.cli.main import run

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="there is no dpkg-deb to build with"
)

PROCESS = '[process.api]\ncommand = ["/bin/sleep", "infinity"]\n'
MAINTAINER = 'maintainer = "Ann Ops <ann@corner.example>"\n'
GIVEN = f'version = "1"\n{MAINTAINER}'
WHOLE = f"""\
[project]
name = "corner"

[process.api]
command = ["./serve", "--port", "3000"]
environment = {{ API_KEY = "very-hush" }}

[package]
version = "1.2.0"
{MAINTAINER}directory = "/srv/corner"
files = [
  {{ from = "app", to = "/srv/corner", exclude = ["*.log"] }},
  {{ from = "corner.ini", to = "/etc/corner.ini" }},
]
"""


class Folder:
    """A folder with a config, in which pm-native runs."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self._capsys = capsys

    def write(self, name: str, text: str = "", mode: int = 0o644) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def package(self, *words: str) -> tuple[int, str, str]:
        """Run `pm-native package --deb`: exit code, output, and the diagnostics, a line each."""
        code = run(["package", "--deb", "--format", "concise", *words])
        said = self._capsys.readouterr()
        return code, said.out, said.err.replace(f"{self.path}/", "")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Folder:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    return Folder(tmp_path, capsys)


def whole(folder: Folder) -> None:
    folder.write("pm-native.toml", WHOLE)
    folder.write("app/serve", "#!/bin/sh\n", mode=0o700)
    folder.write("app/lib/data.csv", "data\n", mode=0o600)
    folder.write("app/out.log", "noise\n")
    folder.write("app/.git/config", "private\n")
    folder.write("corner.ini", "[corner]\n")
    (folder.path / "app/latest").symlink_to("lib/data.csv")


def listing(deb: Path) -> list[str]:
    """Mode, owner and name of each file that is no folder."""
    table = subprocess.run(
        ["dpkg-deb", "--contents", deb], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(maxsplit=5) for line in table.splitlines()]
    return [f"{row[0]} {row[1]} {row[5]}" for row in rows if not row[0].startswith("d")]


def test_package_has_the_units_the_files_and_what_tells_of_them(folder: Folder) -> None:
    whole(folder)
    assert folder.package()[:2] == (0, "dist/corner_1.2.0_all.deb\n")
    deb = folder.path / "dist/corner_1.2.0_all.deb"
    assert listing(deb) == [
        "-rw-r--r-- root/root ./etc/corner.ini",
        "-rw------- root/root ./etc/pm-native/corner/corner-api.env",
        "-rw-r--r-- root/root ./srv/corner/lib/data.csv",
        "-rwxr-xr-x root/root ./srv/corner/serve",
        "-rw-r--r-- root/root ./usr/lib/systemd/system/corner-api.service",
        "-rw-r--r-- root/root ./usr/lib/systemd/system/corner.slice",
        "-rw-r--r-- root/root ./usr/lib/systemd/system/corner.target",
        "-rw------- root/root ./usr/share/corner/units.list",
        "-rw-r--r-- root/root ./usr/share/doc/corner/changelog.gz",
        "-rw-r--r-- root/root ./usr/share/doc/corner/copyright",
        "-rw-r--r-- root/root ./usr/share/lintian/overrides/corner",
        "lrwxrwxrwx root/root ./srv/corner/latest -> lib/data.csv",
    ]
    conffiles = subprocess.run(
        ["dpkg-deb", "--info", deb, "conffiles"], capture_output=True, text=True, check=True
    )
    assert conffiles.stdout == "/etc/corner.ini\n/etc/pm-native/corner/corner-api.env\n"
    scripts = subprocess.run(
        ["dpkg-deb", "--info", deb, "postinst"], capture_output=True, text=True, check=True
    )
    assert "very-hush" not in scripts.stdout


def test_program_is_found_where_the_package_will_put_it(folder: Folder) -> None:
    whole(folder)
    assert folder.package()[0] == 0
    tree = folder.path / "tree"
    subprocess.run(["dpkg-deb", "-x", folder.path / "dist/corner_1.2.0_all.deb", tree], check=True)
    unit = (tree / "usr/lib/systemd/system/corner-api.service").read_text(encoding="utf-8")
    assert "\nExecStart=:/srv/corner/serve --port 3000\n" in unit
    assert "\nWorkingDirectory=/srv/corner\n" in unit
    assert str(folder.path) not in unit


@pytest.mark.parametrize("kind", ["deb", "rpm"])
def test_same_project_makes_the_same_bytes(kind: str, folder: Folder) -> None:
    if kind == "rpm" and shutil.which("rpmbuild") is None:
        pytest.skip("there is no rpmbuild to build with")
    whole(folder)
    found = []
    for output in ("one", "two"):
        assert run(["package", f"--{kind}", "-o", output]) == 0
        (package,) = (folder.path / output).iterdir()
        found.append((package.name, package.read_bytes()))
    assert found[0] == found[1]


def test_package_depends_on_what_its_units_run_by(folder: Folder) -> None:
    def depends() -> str:
        assert folder.package("-o", "out")[0] == 0
        deb = folder.path / "out/corner_1.2.0_all.deb"
        run = subprocess.run(
            ["dpkg-deb", "--field", deb, "Depends"], capture_output=True, text=True, check=True
        )
        return run.stdout.rstrip()

    whole(folder)
    assert depends() == "systemd (>= 249)"
    # The broker's units are those of pm-native's package, whether or not that is on this host.
    folder.write("pm-native.toml", WHOLE.replace('name = "corner"', 'name = "corner"\nipc = true'))
    ours = f"systemd (>= 249), pm-native (>= {version('pm-native')})"
    assert depends() == ours
    folder.write("pm-native.toml", WHOLE.replace('"3000"]', '"3000"]\nwatch = "data.csv"'))
    assert depends() == f"{ours}, python3-inotify"


def test_watcher_is_stopped_while_files_are_replaced(folder: Folder) -> None:
    whole(folder)
    folder.write("pm-native.toml", WHOLE.replace('"3000"]', '"3000"]\nwatch = "data.csv"'))
    assert folder.package()[0] == 0
    subprocess.run(
        ["dpkg-deb", "-x", folder.path / "dist/corner_1.2.0_all.deb", folder.path / "tree"], check=True
    )
    lines = (folder.path / "tree/usr/share/corner/units.list").read_text(encoding="utf-8").splitlines()
    assert [line.split()[1:] for line in lines if line.endswith("-watch.service")] == [
        ["pause", "start", "corner-api-watch.service"]
    ]


def test_digest_of_a_unit_follows_its_files_and_its_secrets(folder: Folder) -> None:
    whole(folder)

    def digest() -> str:
        assert folder.package()[0] == 0
        deb = folder.path / "dist/corner_1.2.0_all.deb"
        subprocess.run(["dpkg-deb", "-x", deb, folder.path / "tree"], check=True)
        lines = (folder.path / "tree/usr/share/corner/units.list").read_text(encoding="utf-8").splitlines()
        (line,) = (line for line in lines if line.endswith(" corner-api.service"))
        return line

    before = digest()
    assert before.split()[1:] == ["restart", "start", "corner-api.service"]
    assert digest() == before
    folder.write("app/lib/data.csv", "other\n")
    changed = digest()
    assert changed != before
    folder.write("pm-native.toml", WHOLE.replace("very-hush", "other-hush"))
    assert digest() not in {before, changed}


def test_process_whose_folder_is_not_installed_is_told_of(folder: Folder) -> None:
    folder.write("pm-native.toml", f'{PROCESS}[package]\ndirectory = "/srv/corner"\n{GIVEN}')
    code, _, err = folder.package("--project", "corner")
    assert (code, [line for line in err.splitlines() if "package-folder" in line]) == (
        0,
        [
            "pm-native.toml:1:10: warning: api runs in /srv/corner, and no file of the package lies there [package-folder]"
        ],
    )
    whole(folder)
    assert "package-folder" not in folder.package()[2]


def git(folder: Folder, *words: str) -> None:
    identity = ["-c", "user.name=ann", "-c", "user.email=ann@corner.example"]
    subprocess.run(["git", *identity, *words], cwd=folder.path, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to ask")
def test_version_is_that_of_the_newest_tag_with_the_commits_since(folder: Folder) -> None:
    whole(folder)
    folder.write("pm-native.toml", WHOLE.replace('version = "1.2.0"\n', ""))
    shutil.rmtree(folder.path / "app/.git")
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "one")
    git(folder, "tag", "v3.1")
    assert folder.package()[1] == "dist/corner_3.1_all.deb\n"
    git(folder, "commit", "--allow-empty", "-m", "two")
    assert folder.package()[1].startswith("dist/corner_3.1+1.g")
    assert folder.package("--version", "4.0")[1] == "dist/corner_4.0_all.deb\n"
    git(folder, "tag", "v3.2.0-rc.1")
    assert folder.package()[1] == "dist/corner_3.2.0~rc.1_all.deb\n"


# The table begins in line 5 of the config, what follows its version and maintainer in line 8.
REFUSED = {
    "": ": error: which version? git has no tag such as v1.0.0 here [package-version]\n"
    ": error: who answers for the package? [package-maintainer]\n",
    'version = "v1"\n': ":6:1: error: not a valid version: 'v1' [bad-version]\n",
    'maintainer = "Ann"\n': ":6:1: error: not a valid maintainer: 'Ann' [bad-maintainer]\n",
    f'{GIVEN}directory = "srv"\nusers = ["Bad Name"]\nconffiles = ["x"]\n': (
        ":8:1: error: not a place to install to: 'srv' [bad-path]\n"
        ":10:1: error: not a place to install to: 'x' [bad-path]\n"
        ":9:1: error: not a name of a system user: 'Bad Name' [bad-user]\n"
    ),
    f'{GIVEN}files = [{{ from = "nowhere", to = "/srv/x" }}]\n': (
        ":8:10: error: there is no file or folder nowhere [package-file-missing]\n"
    ),
    f'{GIVEN}files = [{{ from = "out", to = "/srv/x" }}]\n': (
        ":8:10: error: out/link is a link out of the folder: /etc/passwd [package-link]\n"
    ),
    f'{GIVEN}files = [{{ from = "a", to = "/srv/x" }}, {{ from = "a", to = "/srv/x" }}]\n': (
        ":8:41: error: two files of the package have the same place: /srv/x [package-file-twice]\n"
    ),
    f'{GIVEN}conffiles = ["/srv/other"]\n': (
        ":5:1: error: no such file is installed: /srv/other [package-conffile]\n"
    ),
}


@pytest.mark.parametrize("package", REFUSED)
def test_what_cannot_be_packaged_is_told_with_its_place_and_nothing_is_written(
    package: str, folder: Folder
) -> None:
    table = f"[package]\n{package}" if package else ""
    folder.write("pm-native.toml", f'[project]\nname = "corner"\n{PROCESS}{table}')
    folder.write("a")
    (folder.path / "out").mkdir()
    (folder.path / "out/link").symlink_to("/etc/passwd")
    code, out, err = folder.package()
    assert (code, out) == (78, "")
    lines = [line.removeprefix("pm-native.toml") for line in err.splitlines() if ": error: " in line]
    assert "".join(f"{line}\n" for line in lines) == REFUSED[package]
    assert not (folder.path / "dist").exists()


@pytest.mark.parametrize("option", [("--version", "v1"), ("--maintainer", "Ann\nDepends: x")])
def test_option_is_held_to_what_the_key_takes(option: tuple[str, str], folder: Folder) -> None:
    whole(folder)
    assert folder.package(*option)[:2] == (64, "")
    assert not (folder.path / "dist").exists()


@pytest.mark.skipif(shutil.which("lintian") is None, reason="there is no lintian to ask")
def test_lintian_has_nothing_to_say(folder: Folder) -> None:
    whole(folder)
    assert folder.package()[0] == 0
    words = ["lintian", "--pedantic", "--display-info", "--allow-root", "--fail-on=none"]
    run = subprocess.run([*words, "dist/corner_1.2.0_all.deb"], capture_output=True, text=True, check=False)
    assert run.stdout + run.stderr == ""


@pytest.mark.skipif(
    not {shutil.which("rpmlint"), shutil.which("rpmbuild")}.isdisjoint({None}), reason="no rpmlint, rpmbuild"
)
def test_rpmlint_has_nothing_to_say(folder: Folder) -> None:
    whole(folder)
    assert run(["package", "--rpm"]) == 0
    config = Path(__file__).resolve().parents[2] / "packaging/rpm/rpmlint.toml"
    words = ["rpmlint", "--config", str(config), "dist/corner-1.2.0-1.noarch.rpm"]
    said = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "0 errors, 0 warnings, 0 badness" in said.stdout, said.stdout


def test_kind_of_package_has_to_be_said(folder: Folder) -> None:
    folder.write("pm-native.toml", PROCESS)
    assert run(["package"]) == 64
