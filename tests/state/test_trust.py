"""What root acts on: files that root or its caller alone can have written, whatever is swapped while they are read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pm_native.errors import AccessError
from pm_native.state.trust import Trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY = 65534
ME = os.geteuid()
OURS = Trust(frozenset({0, ME}))
as_root = pytest.mark.skipif(ME != 0, reason="only root can give files away")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "srv/shop/pm-native.toml"
    path.parent.mkdir(parents=True)
    for folder in (path.parent, path.parent.parent):
        folder.chmod(0o755)
    path.write_text("good")
    path.chmod(0o644)
    return path


def refusal(path: Path, trust: Trust = OURS) -> tuple[str, str]:
    """What is said of it; the same where it is not read, and where it is read from its folder."""
    with pytest.raises(AccessError) as caught:
        trust.read(path)
    with pytest.raises(AccessError) as checked:
        trust.check(path)
    with pytest.raises(AccessError) as within, trust.folder(path.parent) as folder:
        folder.read(path.name)
    assert str(checked.value) == str(caught.value) == str(within.value)
    return caught.value.message, caught.value.hint


def test_root_trusts_itself_and_who_called_it_by_sudo_and_others_trust_everybody() -> None:
    assert Trust.of_caller({}, 0) == Trust(frozenset({0}))
    assert Trust.of_caller({"SUDO_UID": "1000"}, 0) == Trust(frozenset({0, 1000}))
    for odd in ("", "-1", "me", "1000 1001", "\u0661"):
        assert Trust.of_caller({"SUDO_UID": odd}, 0) == Trust(frozenset({0}))
    assert Trust.of_caller({"SUDO_UID": "1000"}, 1000) == Trust(None)


def test_own_file_is_read_by_every_way_to_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = file.parents[2]
    (base / "absolute").symlink_to(file.parent)
    (base / "srv/relative").symlink_to("../srv/./shop")
    (base / "srv/chain").symlink_to("relative")
    monkeypatch.chdir(file.parent)
    for way in (
        file,
        base / "absolute/pm-native.toml",
        base / "srv/chain/pm-native.toml",
        Path("pm-native.toml"),
        Path("../shop/pm-native.toml"),
        base / "srv/relative/../shop/pm-native.toml",
        Path("/../../..") / file.relative_to("/"),
    ):
        assert OURS.read(way) == b"good", way
        assert Trust().read(way) == b"good", way
    with OURS.folder(base / "absolute") as folder:
        assert folder.read("pm-native.toml") == b"good"


@pytest.mark.parametrize("mode", [0o646, 0o666])
def test_file_that_everybody_can_write_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    message = f"root acts on nothing that others can write: {file} is open to everybody"
    assert refusal(file) == (message, f"close it: chmod go-w {file}")
    assert Trust().read(file) == b"good"


def test_folder_anywhere_above_it_that_everybody_can_write_is_refused(file: Path) -> None:
    for folder in (file.parent, file.parents[1]):
        folder.chmod(0o777)
        message = f"root acts on nothing that others can write: {folder} is open to everybody"
        assert refusal(file) == (message, f"close it: chmod go-w {folder}")
        folder.chmod(0o1777)  # as /tmp: nobody can take away what others put there
        assert OURS.read(file) == b"good"
        folder.chmod(0o755)


@as_root
def test_file_folder_or_link_of_somebody_else_is_refused(file: Path) -> None:
    link = file.parents[2] / "link"
    link.symlink_to(file.parent)
    for path in (file, file.parent, link):
        os.chown(path, NOBODY, -1, follow_symlinks=False)
        hint = f"give it to root (chown root {path}), or run this as nobody, by sudo"
        assert refusal(link / file.name if path == link else file) == (
            f"root acts on nothing of others: {path} belongs to nobody",
            hint,
        )
        assert Trust(frozenset({0, NOBODY})).read(link / file.name) == b"good"
        os.chown(path, 0, -1, follow_symlinks=False)


@as_root
def test_group_that_can_write_is_refused_unless_it_is_the_callers_own(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import grp
    import pwd

    file.chmod(0o664)
    os.chown(file, 0, 4711)
    message = f"root acts on nothing that others can write: {file} is open to group 4711"
    assert refusal(file) == (message, f"close it: chmod go-w {file}")
    users = {"ada": 1000, "bob": 1001}
    members = ["ada"]
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("shop", "x", gid, members)))
    monkeypatch.setattr(
        pwd, "getpwnam", lambda name: pwd.struct_passwd((name, "x", users[name], 1, "", "/", "/bin/sh"))
    )
    monkeypatch.setattr(pwd, "getpwall", list)
    caller = Trust(frozenset({0, 1000}))
    assert caller.read(file) == b"good"
    members.append("bob")
    assert "is open to group shop" in refusal(file, caller)[0]
    members.remove("bob")
    first = [pwd.struct_passwd(("bob", "x", 1001, 4711, "", "/", "/bin/sh"))]
    monkeypatch.setattr(
        pwd, "getpwall", lambda: first
    )  # in it by his own entry, which the group's does not tell
    assert "is open to group shop" in refusal(file, caller)[0]
    monkeypatch.setattr(pwd, "getpwall", list)
    monkeypatch.setattr(os, "listxattr", lambda _: ["system.posix_acl_access"])
    assert "is open to group shop" in refusal(file, caller)[0]


def test_what_is_no_file_is_told_and_never_waited_for(file: Path) -> None:
    os.mkfifo(file.with_name("fifo"))
    for trust in (OURS, Trust()):
        with pytest.raises(OSError, match="not a file"):
            trust.read(file.with_name("fifo"))
        with pytest.raises(IsADirectoryError):
            trust.read(file.parent)
        with pytest.raises(FileNotFoundError):
            trust.read(file.with_name("none"))
        with trust.folder(file.parent) as folder:
            (file.parent / "link").symlink_to(file)
            with pytest.raises(OSError, match="symbolic links"):
                folder.read("link")
            (file.parent / "link").unlink()


def test_links_in_a_circle_are_refused(file: Path) -> None:
    (file.parent / "a").symlink_to("b")
    (file.parent / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        OURS.read(file.parent / "a")


def test_every_descriptor_is_given_back(file: Path) -> None:
    (file.parent / "link").symlink_to("../shop/pm-native.toml")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only the number
    for _ in range(3):
        OURS.read(file.parent / "link")
        with pytest.raises(FileNotFoundError):
            OURS.read(file.parent / "none/deeper")
    file.chmod(0o666)
    with pytest.raises(AccessError):
        OURS.read(file)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above


def swap_folder(file: Path) -> None:
    """Somebody who can write in /srv puts a folder of his own in the place of the project's."""
    file.parent.rename(file.parent.with_name("aside"))
    file.parent.with_name("evil").rename(file.parent)


def swap_file(file: Path) -> None:
    """Somebody who can write in the folder puts a file of his own in the place of the config."""
    (file.parents[1] / "evil" / file.name).replace(file)


def swap_link(file: Path) -> None:
    """Somebody puts a link to his own file there."""
    file.unlink()
    file.symlink_to(f"../evil/{file.name}")


@pytest.mark.parametrize("swap", [swap_folder, swap_file, swap_link])
@pytest.mark.parametrize("ways", ["read", "folder"])
def test_swap_between_any_two_calls_never_makes_root_read_it(
    file: Path, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Path], None], ways: str
) -> None:
    """At each call to the kernel: what is read is what was looked at, or nothing is read."""
    srv = file.parents[1]
    real = {name: getattr(os, name) for name in ("open", "fstat", "readlink")}
    calls = 0
    at = -1

    def counted(name: str) -> Callable[..., object]:
        def call(*args: object, **more: object) -> object:
            nonlocal calls
            calls += 1
            if calls == at:
                swap(file)
            return real[name](*args, **more)

        return call

    def read() -> bytes:
        if ways == "read":
            return OURS.read(file)
        with OURS.folder(file.parent) as folder:
            return folder.read(file.name)

    outcomes: set[object] = set()
    total = 1
    while at < total:
        at += 1
        shutil.rmtree(srv)
        for name, text, mode in (("shop", "good", 0o644), ("evil", "evil", 0o666)):
            (srv / name).mkdir(parents=True)
            (srv / name / file.name).write_text(text)
            (srv / name / file.name).chmod(mode)
        calls = 0
        with monkeypatch.context() as patch:
            for name in real:
                patch.setattr(os, name, counted(name))
            try:
                outcomes.add(read())
            except (AccessError, OSError) as error:
                outcomes.add(type(error))
        total = max(total, calls)
    assert total > 10
    assert b"good" in outcomes
    assert AccessError in outcomes or OSError in outcomes
    assert b"evil" not in outcomes
