"""Digests of what processes read: a change of the contents is seen, nothing else is, and nothing hangs."""

from __future__ import annotations

import os

import pytest

from pm_native.apply.contents import MISSING, digests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "app/sub").mkdir(parents=True)
    (tmp_path / "app/a.txt").write_text("one")
    (tmp_path / "app/sub/b.txt").write_text("two")
    (tmp_path / "app/link").symlink_to("sub/b.txt")
    return tmp_path


def digest(tree: Path, path: str = "/app") -> str | None:
    return digests(tree, [path])[path]


def test_pattern_stands_for_the_files_that_it_matches(tree: Path) -> None:
    seen = [digest(tree, "/app/*.txt")]
    (tree / "app/b.conf").write_text("")
    assert digest(tree, "/app/*.txt") == seen[0]
    for change in (
        lambda: (tree / "app/b.txt").write_text(""),
        lambda: (tree / "app/b.txt").write_text("other"),
        lambda: (tree / "app/b.txt").rename(tree / "app/c.txt"),
        lambda: (tree / "app/*.txt").write_text("a file of that very name"),
    ):
        change()
        seen.append(digest(tree, "/app/*.txt"))
    assert (len({*seen}), MISSING in seen) == (5, False)
    assert digest(tree, "/app/*.none") == MISSING


def swap_names(app: Path) -> None:
    (app / "a.txt").rename(app / "c.txt")


def move_text_between_files(app: Path) -> None:
    (app / "a.txt").write_text("on")
    (app / "sub/b.txt").write_text("etwo")


def lead_link_elsewhere(app: Path) -> None:
    (app / "link").unlink()
    (app / "link").symlink_to("a.txt")


def replace_file_by_folder(app: Path) -> None:
    (app / "sub/b.txt").unlink()
    (app / "sub/b.txt").mkdir()


@pytest.mark.parametrize(
    "change",
    [
        lambda app: (app / "a.txt").write_text("two"),
        lambda app: (app / "sub/new").write_text(""),
        lambda app: (app / "empty").mkdir(),
        swap_names,
        move_text_between_files,
        lead_link_elsewhere,
        replace_file_by_folder,
    ],
)
def test_every_change_in_a_folder_is_seen(tree: Path, change: Callable[[Path], object]) -> None:
    before = digest(tree)
    change(tree / "app")
    assert digest(tree) not in {before, None, MISSING}


def test_times_and_modes_are_no_contents(tree: Path) -> None:
    before = digest(tree), digest(tree, "/app/a.txt")
    os.utime(tree / "app/a.txt", (1, 1))
    (tree / "app/a.txt").chmod(0o600)
    assert (digest(tree), digest(tree, "/app/a.txt")) == before


def test_link_to_a_file_counts_as_the_file(tree: Path) -> None:
    assert digest(tree, "/app/link") == digest(tree, "/app/sub/b.txt")


@pytest.mark.parametrize("path", ["/gone", "/app/a.txt/below"])
def test_what_is_not_there_is_told_apart(tree: Path, path: str) -> None:
    assert digest(tree, path) == MISSING


@pytest.mark.parametrize("name", ["app/pipe", "pipe"])
def test_pipe_is_not_waited_for(tree: Path, name: str) -> None:
    os.mkfifo(tree / name)
    assert digest(tree, f"/{name.partition('/')[0]}") not in {None, MISSING}


def test_what_the_caller_may_not_read_is_not_known(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object, *_: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    assert digests(tree, ["/app/a.txt", "/app"]) == {"/app/a.txt": None, "/app": None}


def test_device_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert digest(tmp_path, "/zero") == "of kind 20000"
