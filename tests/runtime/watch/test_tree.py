"""The watched folders on a real inotify: what a change of files is, and that none is lost."""

from __future__ import annotations

import errno
import os
import select
import socket
from pathlib import Path

import pytest

from pm_native.runtime.watch import kernel as k
from pm_native.runtime.watch.kernel import Kernel, why_not
from pm_native.runtime.watch.patterns import Selection
from pm_native.runtime.watch.tree import LOST, Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUIET_MSEC = 50  # what has happened before is there at once: this only tells that there is no more


class Desk:
    """A folder whose files are watched; what changed is told by names from there on."""

    def __init__(
        self, base: Path, *patterns: str, ignore: tuple[str, ...] = (), kernel: Kernel | None = None
    ) -> None:
        self.base = base
        self.kernel = kernel if kernel is not None else Kernel()
        self.told: list[str] = []
        self.warned: list[str] = []
        selection = Selection(str(base), patterns, ignore)
        self.tree = Tree(selection, self.kernel, self.told.append, self.warned.append)
        self.tree.scan()

    def changes(self) -> list[str]:
        """What has changed since the last call, each once, in order."""
        poll = select.poll()
        poll.register(self.kernel.descriptor, select.POLLIN)
        while poll.poll(QUIET_MSEC):
            self.tree.handle(self.kernel.read())
        found = [path.removeprefix(f"{self.base}/") for path in dict.fromkeys(self.told)]
        self.told.clear()
        return found

    def write(self, name: str, text: str = "x") -> Path:
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def folders(self) -> list[str]:
        return [os.path.relpath(path, self.base) for path in self.tree.folders]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with some files in it."""
    base = tmp_path / "shop"
    for name in ("src/app.js", "src/lib/a.js", "doc/read.me", ".git/HEAD", "node_modules/x/index.js"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text("x", encoding="utf-8")
    return base


@pytest.fixture
def desk(shop: Path) -> Iterator[Callable[..., Desk]]:
    opened: list[Desk] = []

    def begin(*patterns: str, ignore: tuple[str, ...] = (), kernel: Kernel | None = None) -> Desk:
        opened.append(Desk(shop, *patterns, ignore=ignore, kernel=kernel))
        return opened[-1]

    yield begin
    for item in opened:
        item.kernel.close()


def test_only_folders_that_can_hold_a_match_are_watched(desk: Callable[..., Desk]) -> None:
    assert desk("src/**").folders() == [".", "src", "src/lib"]
    assert desk(".").folders() == [".", "doc", "src", "src/lib"]
    assert desk("*.js").folders() == ["."]
    assert desk("src/app.js").folders() == [".", "src"]


def test_what_is_written_moved_made_or_removed_is_a_change(desk: Callable[..., Desk], shop: Path) -> None:
    it = desk("src/**")
    it.write("src/app.js")
    it.write("src/new.js")
    assert it.changes() == ["src/app.js", "src/new.js"]
    (shop / "src/new.js").rename(shop / "src/lib/new.js")
    assert it.changes() == ["src/new.js", "src/lib/new.js"]
    (shop / "src/lib/new.js").unlink()
    it.write("src/app.js", "")
    assert it.changes() == ["src/lib/new.js", "src/app.js"]
    os.link(shop / "src/app.js", shop / "src/hard.js")
    (shop / "src/soft.js").symlink_to("app.js")
    assert it.changes() == ["src/hard.js", "src/soft.js"]


def test_what_leaves_files_as_they_are_is_none(desk: Callable[..., Desk], shop: Path) -> None:
    it = desk("src/**")
    (shop / "src/app.js").read_text(encoding="utf-8")
    (shop / "src/app.js").chmod(0o600)
    list((shop / "src").iterdir())
    it.write("doc/read.me")
    it.write("src/run.log")
    it.write("src/.app.js.swp")
    (shop / "src/empty").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(shop / "src/control"))
    os.mkfifo(shop / "src/pipe")
    assert it.changes() == []


def test_file_that_is_being_written_is_a_change_when_it_is_closed(
    desk: Callable[..., Desk], shop: Path
) -> None:
    it = desk("src/**")
    with (shop / "src/big.js").open("w", encoding="utf-8") as stream:
        stream.write("x")
        stream.flush()
        assert it.changes() == []
    assert it.changes() == ["src/big.js"]


def test_file_that_takes_the_place_of_another_is_a_change(desk: Callable[..., Desk]) -> None:
    it = desk("src/app.js")
    it.write("doc/app.js.new").replace(it.base / "src/app.js")
    assert it.changes() == ["src/app.js"]


def test_new_folder_is_watched_with_all_that_is_in_it_by_then(desk: Callable[..., Desk]) -> None:
    it = desk("src/**")
    it.write("src/a/b/c/new.js")  # all of it before the first event is read
    assert it.changes() == ["src/a/b/c/new.js"]
    it.write("src/a/b/c/new.js")
    it.write("src/a/b/other.js")
    assert it.changes() == ["src/a/b/c/new.js", "src/a/b/other.js"]


def test_folder_that_moves_is_followed(desk: Callable[..., Desk], shop: Path) -> None:
    it = desk("src/**")
    (shop / "src/lib").rename(shop / "src/core")
    assert it.changes() == ["src/lib", "src/core/a.js"]
    it.write("src/core/a.js")
    assert it.changes() == ["src/core/a.js"]
    (shop / "src/core").rename(shop / "core")
    assert it.changes() == ["src/core"]
    it.write("core/a.js")
    assert it.changes() == []
    assert it.folders() == [".", "src"]


def test_folder_that_moves_into_a_new_one_is_followed(desk: Callable[..., Desk], shop: Path) -> None:
    it = desk("src/**")
    (shop / "src/deep").mkdir()
    (shop / "src/lib").rename(shop / "src/deep/lib")  # before the kernel was told to watch src/deep
    assert "src/deep/lib/a.js" in it.changes()
    it.write("src/deep/lib/a.js")
    assert it.changes() == ["src/deep/lib/a.js"]
    assert it.folders() == [".", "src", "src/deep", "src/deep/lib"]


def test_folder_that_is_made_anew_is_watched_anew(desk: Callable[..., Desk], shop: Path) -> None:
    it = desk("src/**")
    for _ in range(3):
        for name in ("src/app.js", "src/lib/a.js"):
            (shop / name).unlink()
        (shop / "src/lib").rmdir()
        (shop / "src").rmdir()
        it.write("src/app.js")
        it.write("src/lib/a.js")
    assert {"src/app.js", "src/lib/a.js"} <= set(it.changes())
    it.write("src/lib/a.js")
    assert it.changes() == ["src/lib/a.js"]


def test_folder_that_is_not_yet_there_is_waited_for(desk: Callable[..., Desk]) -> None:
    it = desk("later/on/**", "conf/app.yaml")
    it.write("later/on/a.js")
    it.write("conf/app.yaml")
    it.write("conf/other.yaml")
    assert it.changes() == ["later/on/a.js", "conf/app.yaml"]
    it.write("later/on/a.js")
    assert it.changes() == ["later/on/a.js"]


def test_whole_project_that_is_not_yet_there_is_waited_for(desk: Callable[..., Desk], shop: Path) -> None:
    shop.rename(shop.with_name("old"))
    shop.parent.rename(away := shop.parent.with_name("away"))
    it = desk("src/**")
    assert it.tree.folders == [str(shop.parent.parent)]
    away.rename(shop.parent)
    it.write("src/a.js")
    assert it.changes() == ["src/a.js"]


def test_link_to_the_project_that_is_switched_is_followed(tmp_path: Path) -> None:
    for release in ("1", "2"):
        (tmp_path / release / "src").mkdir(parents=True)
        (tmp_path / release / "src/app.js").write_text(release, encoding="utf-8")
    current = tmp_path / "current"
    current.symlink_to("1")
    it = Desk(current, "src/**")
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").rename(current)
    assert it.changes() == ["src/app.js"]
    (tmp_path / "1/src/app.js").write_text("1", encoding="utf-8")
    assert it.changes() == []
    (tmp_path / "2/src/app.js").write_text("2", encoding="utf-8")
    assert it.changes() == ["src/app.js"]
    it.kernel.close()


def test_links_to_folders_are_followed_within_the_project_only(
    desk: Callable[..., Desk], shop: Path
) -> None:
    (shop / "shared").mkdir()
    outside = shop.with_name("outside")
    outside.mkdir()
    (shop / "src/shared").symlink_to("../shared")
    (shop / "src/self").symlink_to(".")
    (shop / "src/out").symlink_to(outside)
    it = desk("src/**")
    it.write("shared/a.js")
    (outside / "secret").touch()
    assert it.changes() == ["src/shared/a.js"]
    assert it.warned == [
        f"{shop}/src/out leads out of the folder and is not followed; to watch {outside}, name it in `watch`"
    ]
    (shop / "src/late").symlink_to("../doc")
    assert it.changes() == ["src/late/read.me", "src/late"]
    (shop / "src/shared").unlink()
    assert it.changes() == ["src/shared"]
    it.write("shared/b.js")
    assert it.changes() == []


def test_file_that_takes_the_place_of_a_link_to_a_folder_ends_its_watch(
    desk: Callable[..., Desk], shop: Path
) -> None:
    (shop / "src/doc").symlink_to("../doc")
    it = desk("src/**")
    assert it.folders() == [".", "src", "src/doc", "src/lib"]
    it.write("plain").replace(shop / "src/doc")
    assert it.changes() == ["src/doc"]
    assert it.folders() == [".", "src", "src/lib"]


def test_folder_that_is_named_is_watched_although_it_is_a_link_to_elsewhere(
    desk: Callable[..., Desk], shop: Path
) -> None:
    outside = shop.with_name("outside")
    outside.mkdir()
    (shop / "lib").symlink_to(outside)
    it = desk("lib/**", str(outside / "*.conf"))
    (outside / "a.js").touch()
    assert it.changes() == ["lib/a.js"]
    (outside / "a.conf").touch()
    assert sorted(it.changes()) == [f"{outside}/a.conf", "lib/a.conf"]
    assert it.warned == []
    (shop / "lib").unlink()
    (outside / "b.conf").touch()
    assert it.changes() == [f"{outside}/b.conf"]


def test_changes_that_the_kernel_has_no_room_for_are_one_change_and_all_is_looked_at_anew(
    desk: Callable[..., Desk], shop: Path
) -> None:
    it = desk("src/**")
    (shop / "src/unseen").mkdir()
    it.kernel.read()  # as if there had been no room for it
    it.tree.handle([(-1, k.LOST, "")])
    assert it.changes() == [LOST]
    it.write("src/unseen/a.js")
    assert it.changes() == ["src/unseen/a.js"]


def test_queue_that_really_runs_over_is_told(desk: Callable[..., Desk], shop: Path) -> None:
    it = desk("src/**")
    room = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))
    for number in range(room + 8):  # two names in turn: the same event twice in a row is one
        os.close(os.open(shop / f"src/{number % 2}", os.O_CREAT | os.O_WRONLY))
    assert LOST in it.changes()


def test_tree_takes_no_more_than_half_of_all_watches(desk: Callable[..., Desk], shop: Path) -> None:
    kernel = Kernel()
    limit = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text(encoding="ascii"))
    assert kernel.room == limit // 2
    kernel.room = 3
    it = desk("src/**", kernel=kernel)
    assert it.folders() == [".", "src", "src/lib"]
    (shop / "src/more").mkdir()
    with pytest.raises(OSError, match="No space left"):
        it.changes()


class Full(Kernel):
    """A kernel that watches so many folders."""

    real_room = 3

    def add(self, folder: str, mask: int) -> int:
        watch = super().add(folder, mask)
        if watch > self.real_room:
            self.remove(watch)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
        return watch


def test_no_room_for_a_folder_is_an_error_and_not_silence(desk: Callable[..., Desk], shop: Path) -> None:
    it = desk("src/**", kernel=Full())
    (shop / "src/more").mkdir()
    with pytest.raises(OSError, match="No space left") as caught:
        it.changes()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, f"{shop}/src/more")


def test_folder_that_is_closed_is_told_once(desk: Callable[..., Desk], shop: Path) -> None:
    class Closed(Kernel):
        def add(self, folder: str, mask: int) -> int:
            if folder.endswith("/lib"):
                raise OSError(errno.EACCES, os.strerror(errno.EACCES), folder)
            return super().add(folder, mask)

    it = desk("src/**", kernel=Closed())
    it.tree.scan()
    assert it.warned == [f"{shop}/src/lib is not watched: Permission denied"]
    it.write("src/app.js")
    assert it.changes() == ["src/app.js"]


def test_names_that_are_no_text_are_files_like_others(desk: Callable[..., Desk], shop: Path) -> None:
    it = desk("src/**")
    odd = os.fsencode(shop) + b"/src/a\xff\n"
    Path(os.fsdecode(odd)).mkdir()
    os.close(os.open(odd + b"/b\xfe", os.O_CREAT | os.O_WRONLY))
    assert [os.fsencode(path) for path in it.changes()] == [b"src/a\xff\n/b\xfe"]


def test_why_a_folder_cannot_be_watched(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert why_not(f"{tmp_path}/none") == errno.ENOENT
    assert why_not(f"{tmp_path}/file") == errno.ENOTDIR
    assert why_not(str(tmp_path)) == errno.ENOSPC
    kernel = Kernel()
    with pytest.raises(OSError, match="No such file"):
        kernel.add(f"{tmp_path}/none", k.NAMES)
    kernel.close()


def test_thousands_of_changes_are_all_told(desk: Callable[..., Desk]) -> None:
    it = desk("src/**")
    names = [f"src/many/{number % 20}/{number}.js" for number in range(2000)]
    for name in names:
        it.write(name)
    assert sorted(it.changes()) == sorted(names)


def test_project_that_is_moved_away_and_replaced_is_followed(desk: Callable[..., Desk], shop: Path) -> None:
    it = desk("src/**")
    (shop.with_name("next") / "src").mkdir(parents=True)
    (shop.with_name("next") / "src/b.js").touch()
    shop.rename(shop.with_name("old"))
    assert it.folders() == [".", "src", "src/lib"]  # not yet read
    shop.with_name("next").rename(shop)
    assert it.changes() == ["src/b.js"]
    shop.rename(shop.with_name("next"))
    assert it.changes() == []
    assert it.folders() == [".."]  # until it comes back
    shop.with_name("next").rename(shop)
    assert it.changes() == ["src/b.js"]
