"""The host below a root: programs, users, folders, looked at and never changed."""

from __future__ import annotations

import os

import pytest

from pm_native.compile.host import Account, Host, Program, is_version_manager_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

PASSWD = "root:x:0:0:root:/root:/bin/sh\nshop:x:990:990::/srv/shop:/bin/false\nbroken line\n"
GROUP = "root:x:0:\nshop:x:990:\nwww-data:x:33:ada,shop\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with a few programs; whoever owns its files is a stranger to `shop`."""
    for folder in ("etc", "usr/bin", "usr/local/bin", "srv/shop/bin", "private", "closed"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text(PASSWD, encoding="utf-8")
    (tmp_path / "etc/group").write_text(GROUP, encoding="utf-8")
    for name in ("usr/bin/node", "usr/bin/both", "usr/local/bin/both", "srv/shop/bin/run", "private/tool"):
        (tmp_path / name).write_text("", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "usr/bin/data").write_text("", encoding="utf-8")
    (tmp_path / "usr/bin/mine").write_text("", encoding="utf-8")
    (tmp_path / "usr/bin/mine").chmod(0o700)
    (tmp_path / "usr/bin/folder").mkdir()
    (tmp_path / "private").chmod(0o700)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "usr/bin/absolute").symlink_to("/usr/bin/node")
    (tmp_path / "usr/bin/escaping").symlink_to("../../../../../../usr/bin/node")
    (tmp_path / "usr/bin/loop").symlink_to("loop")
    (tmp_path / "usr/bin/dangling").symlink_to("/usr/bin/nothing")
    return tmp_path


@pytest.mark.parametrize(
    ("program", "user", "found"),
    [
        ("node", None, Program("/usr/bin/node")),
        ("node", "shop", Program("/usr/bin/node")),
        ("both", None, Program("/usr/local/bin/both")),
        ("absolute", None, Program("/usr/bin/absolute")),
        ("escaping", None, Program("/usr/bin/escaping")),
        ("bin/run", None, Program("/srv/shop/bin/run")),
        ("./bin/../bin/run", None, Program("/srv/shop/bin/run")),
        ("/bin/node", None, Program("/bin/node")),
        ("/usr/bin/node/x", None, Program("/usr/bin/node/x", "there is no such file")),
        ("data", None, Program("data", "/usr/bin/data: it is not executable for anyone")),
        ("mine", "shop", Program("mine", "/usr/bin/mine: it is not executable for user shop")),
        ("folder", None, Program("folder", "/usr/bin/folder: it is a folder")),
        ("/private/tool", "shop", Program("/private/tool", "shop may not enter /private")),
        ("/private/tool", None, Program("/private/tool")),
        ("/private/tool", "root", Program("/private/tool")),
        ("loop", None, Program("loop", "not found on /usr/local/bin:/usr/bin")),
        ("dangling", None, Program("dangling", "not found on /usr/local/bin:/usr/bin")),
        ("nothing", None, Program("nothing", "not found on /usr/local/bin:/usr/bin")),
        ("a\0b", None, Program("a\0b", "not found on /usr/local/bin:/usr/bin")),
        ("x" * 300, None, Program("x" * 300, "not found on /usr/local/bin:/usr/bin")),
    ],
)
def test_programs_are_found_as_their_user_would(
    root: Path, program: str, user: str | None, found: Program
) -> None:
    host = Host(root)
    assert host.find_program(program, "/usr/local/bin:/usr/bin", "/srv/shop", user) == found


def test_accounts_and_groups_come_from_the_root(root: Path) -> None:
    host = Host(root)
    shop = Account("shop", 990, frozenset({990, 33}), "/srv/shop")
    assert [host.account(name) for name in ("shop", "990", "ada", "broken line", "")] == [
        shop,
        shop,
        None,
        None,
        None,
    ]
    assert [host.has_group(name) for name in ("www-data", "33", "ada", "")] == [True, True, False, False]


def test_host_without_a_user_database(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert (host.account("root"), host.has_group("root")) == (None, False)


@pytest.mark.parametrize(
    ("path", "is_there"),
    [
        ("/", True),
        ("/srv/shop", True),
        ("/bin", True),
        ("/usr/bin/node", False),
        ("/nothing", False),
        ("/a\0", False),
    ],
)
def test_folders_are_looked_for_below_the_root(root: Path, path: str, is_there: bool) -> None:  # noqa: FBT001
    assert Host(root).is_directory(path) == is_there


def test_own_host_is_looked_at_the_same_way() -> None:
    host = Host()
    assert host.is_directory("/")
    assert host.find_program("sh", "/nowhere:/bin", "/", None) == Program("/bin/sh")
    root = host.account("root")
    assert root is not None
    assert (root.uid, host.account("0"), host.account("no\0body"), host.account("٣")) == (
        0,
        root,
        None,
        None,
    )
    assert (host.has_group("root"), host.has_group("no\0body")) == (True, False)
    assert host.cpu_count == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("path", "manager"),
    [
        ("/home/ada/.nvm/versions/node/v20.1.0/bin/node", "nvm"),
        ("/root/.pyenv/shims/python", "pyenv"),
        ("/usr/bin/node", ""),
        ("/srv/nvm/bin/node", ""),
    ],
)
def test_paths_of_version_managers(path: str, manager: str) -> None:
    assert is_version_manager_path(path) == manager
