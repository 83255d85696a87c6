"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import stat
from errno import EBUSY, ENOSPC
from pathlib import Path

import pytest

from pm_native.errors import AccessError
from pm_native.state.files import (
    append_line,
    link_atomic,
    make_folder,
    read_text,
    remove,
    remove_empty,
    write_atomic,
)
from pm_native.state.generations import Generation, Generations
from tests.apply.hosts import WEB, compiled


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_written_file_has_its_bytes_and_its_mode_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        write_atomic(tmp_path / "secret.env", b"\xff\r\n", 0o600)
    finally:
        os.umask(old)
    assert (tmp_path / "secret.env").read_bytes() == b"\xff\r\n"
    assert mode(tmp_path / "secret.env") == 0o600


def test_new_text_takes_the_place_of_the_old_and_of_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.service"
    path.write_text("old")
    path.chmod(0o755)
    reader = path.open(encoding="utf-8")
    write_atomic(path, b"new", 0o644)
    assert (path.read_text(), mode(path)) == ("new", 0o644)
    assert reader.read() == "old"  # who had it open sees one text or the other, never half of each
    reader.close()


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "a.service").symlink_to("victim")
    write_atomic(tmp_path / "a.service", b"ours", 0o644)
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "a.service").is_symlink()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_folder_has_its_mode_whatever_the_umask_and_keeps_that_of_the_caller(
    tmp_path: Path, umask: int
) -> None:
    old = os.umask(umask)
    try:
        make_folder(tmp_path / "a/private", 0o700)
        make_folder(tmp_path / "a/open")
        assert os.umask(umask) == umask
    finally:
        os.umask(old)
    assert [mode(tmp_path / name) for name in ("a", "a/private", "a/open")] == [0o755, 0o700, 0o755]


def test_folder_that_is_swapped_for_a_link_as_soon_as_it_is_there_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As who owns the folder above can, where root makes one for logs."""
    victim = tmp_path / "shadow"
    victim.write_text("secrets")
    victim.chmod(0o600)
    made = Path.mkdir

    def swapped(path: Path, mode: int) -> None:
        made(path, mode)
        path.rmdir()
        path.symlink_to(victim)

    monkeypatch.setattr(Path, "mkdir", swapped)
    make_folder(tmp_path / "logs")
    assert (tmp_path / "logs").is_symlink()
    assert mode(victim) == 0o600


def test_full_disk_leaves_the_old_file_and_no_scratch_and_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(ENOSPC, os.strerror(ENOSPC))  # the kernel names no file

    path = tmp_path / "a.service"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomic(path, b"new", 0o644)
    assert caught.value.filename == str(path)
    assert [(item.name, item.read_text()) for item in tmp_path.iterdir()] == [("a.service", "old")]


def test_line_that_a_full_disk_cuts_off_names_the_file_and_the_next_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "history.jsonl"
    append_line(path, "first", 0o600)
    room = 4
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        written, room = write(descriptor, data[:room]), 0
        return written

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left") as caught:
        append_line(path, "second", 0o600)
    monkeypatch.setattr(os, "write", write)
    assert caught.value.filename == str(path)
    append_line(path, "third", 0o600)
    assert (path.read_text(), mode(path)) == ("first\nseco\nthird\n", 0o600)


def test_kill_in_the_middle_is_no_reason_to_leave_scratch_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a.service", b"new", 0o644)
    assert list(tmp_path.iterdir()) == []


class Calls:
    """What is asked of the kernel that a power cut could come between, in order."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: list[str] = []
        self._top = top
        sync, rename, unlink, symlink = os.fsync, os.rename, os.unlink, os.symlink
        mkdir, rmdir = os.mkdir, os.rmdir

        def synced(descriptor: int) -> None:
            self._tell("sync", os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - no path of ours
            sync(descriptor)

        def renamed(old: Path, new: Path) -> None:
            self._tell("rename", str(old), str(new))
            rename(old, new)

        def unlinked(path: Path) -> None:
            self._tell("unlink", str(path))
            unlink(path)

        def linked(target: str, path: Path, target_is_directory: bool = False) -> None:  # noqa: FBT001, FBT002 - as os has it
            self._tell("link", str(path))
            symlink(target, path, target_is_directory)

        def made(path: Path, mode: int) -> None:
            self._tell("mkdir", str(path))
            mkdir(path, mode)

        def removed(path: Path) -> None:
            rmdir(path)
            self._tell("rmdir", str(path))

        for name, call in (
            ("mkdir", made),
            ("rmdir", removed),
            ("fsync", synced),
            ("rename", renamed),
            ("unlink", unlinked),
            ("symlink", linked),
        ):
            monkeypatch.setattr(os, name, call)

    def _tell(self, what: str, *paths: str) -> None:
        names = [path.replace(str(self._top), "TOP").replace(f".{os.getpid()}.", ".PID.") for path in paths]
        self.lines.append(" ".join([what, *names]))


def test_power_cut_finds_the_data_on_disk_before_the_name_and_the_name_before_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(tmp_path, monkeypatch)
    write_atomic(tmp_path / "a.service", b"new", 0o644)
    link_atomic(tmp_path / "a.link", "a.service")
    remove(tmp_path / "a.service")
    ours = [line for line in calls.lines if not line.startswith("unlink TOP/.")]
    assert ours == [
        "sync TOP/.a.service.PID.new",
        "rename TOP/.a.service.PID.new TOP/a.service",
        "sync TOP",
        "link TOP/.a.link.PID.new",
        "rename TOP/.a.link.PID.new TOP/a.link",
        "sync TOP",
        "unlink TOP/a.service",
        "sync TOP",
    ]


def test_power_cut_finds_no_folder_missing_and_none_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(tmp_path, monkeypatch)
    make_folder(tmp_path / "a/b")
    remove_empty(tmp_path / "a/b")
    remove_empty(tmp_path)  # not empty
    assert calls.lines == [
        *("mkdir TOP/a", "sync TOP"),
        *("mkdir TOP/a/b", "sync TOP/a"),
        *("rmdir TOP/a/b", "sync TOP/a"),
    ]


def test_power_cut_finds_a_generation_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Generations(tmp_path)
    calls = Calls(tmp_path, monkeypatch)
    kept.begin(Generation(number=1, when="now", who="me", command="apply"), compiled(WEB))
    renamed = calls.lines.index("rename TOP/generations/.1.new TOP/generations/1")
    before, after = set(calls.lines[:renamed]), calls.lines[renamed + 1 :]
    scratch = tmp_path / "generations/1"
    inside = [path.relative_to(scratch) for path in scratch.rglob("*")]
    assert {f"sync TOP/generations/.1.new/{path}" for path in inside} < before
    assert "sync TOP/generations/.1.new" in before
    assert after == ["sync TOP/generations"]
    assert len(inside) > 3


def test_scratch_file_of_a_killed_run_with_our_pid_is_no_obstacle(tmp_path: Path) -> None:
    for name in ("a.service", "link"):
        (tmp_path / f".{name}.{os.getpid()}.new").write_text("left")
    write_atomic(tmp_path / "a.service", b"new", 0o644)
    link_atomic(tmp_path / "link", "/there")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.service", "link"]


def test_link_replaces_what_was_there(tmp_path: Path) -> None:
    link_atomic(tmp_path / "link", "/one")
    link_atomic(tmp_path / "link", "/two")
    assert str((tmp_path / "link").readlink()) == "/two"
    assert len(list(tmp_path.iterdir())) == 1


def test_link_over_a_folder_fails_and_leaves_no_scratch(tmp_path: Path) -> None:
    (tmp_path / "link").mkdir()
    with pytest.raises(IsADirectoryError):
        link_atomic(tmp_path / "link", "/one")
    assert [item.name for item in tmp_path.iterdir()] == ["link"]


def test_remove_takes_files_and_links_and_minds_nothing_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("/nowhere")
    remove(tmp_path / "dangling")
    remove(tmp_path / "dangling")
    assert list(tmp_path.iterdir()) == []


def test_folder_is_removed_only_when_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "theirs").touch()
    for name in ("empty", "full", "missing"):
        remove_empty(tmp_path / name)
    assert [item.name for item in tmp_path.iterdir()] == ["full"]


def test_folder_that_is_a_mount_point_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(_: Path) -> None:
        raise OSError(EBUSY, os.strerror(EBUSY))

    monkeypatch.setattr(os, "rmdir", busy)
    remove_empty(tmp_path)
    assert tmp_path.is_dir()


def test_text_is_read_back_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.env"
    path.write_bytes(b"A=\xff\r\nB=\xc3\xa9\n")
    text = read_text(path)
    assert text is not None
    assert text.encode(errors="surrogateescape") == b"A=\xff\r\nB=\xc3\xa9\n"


def test_missing_file_has_no_text(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert read_text(tmp_path / "missing") is None
    assert read_text(tmp_path / "file" / "below") is None


def test_file_that_may_not_be_read_is_told_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(tmp_path), "read_bytes", refuse)
    with pytest.raises(AccessError) as caught:
        read_text(tmp_path / "a.env")
    assert (caught.value.message, caught.value.hint) == (
        f"cannot read {tmp_path}/a.env: permission denied",
        "use sudo",
    )
