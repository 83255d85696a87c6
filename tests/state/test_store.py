"""Records of what was applied, and where things live."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from pm_native.compile.bundle import FileKind, Installed, recorded
from pm_native.errors import AccessError, StateError
from pm_native.model.record import OnChange
from pm_native.state.layout import system_layout, user_layout
from pm_native.state.store import Store, known_projects
from pm_native.unit.name import Scope
from tests.plan.hosts import one, pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.state.layout import Layout


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(system_layout(tmp_path), "shop")


def test_record_comes_back_as_it_was_recorded(store: Store) -> None:
    bundle = pool(
        2, on_change=OnChange.KEEP, after=("shop-db.service",), files=("shop-api.env",), protect=True
    )
    installed = Installed(
        generation=3, bundle=bundle, complete=False, to_restart=("a.service",), to_start=("b.service",)
    )
    store.save(installed)
    assert store.load() == replace(installed, bundle=recorded(bundle))


def test_nothing_recorded_is_nothing_installed(store: Store) -> None:
    assert store.load() is None


def test_record_is_for_its_owner_alone_and_tells_no_secret(store: Store) -> None:
    bundle = one(files=("shop-web.env",))
    store.save(Installed(generation=1, bundle=bundle))
    modes = [
        stat.S_IMODE(path.stat().st_mode) for path in (store.directory, store.directory / "current.json")
    ]
    assert modes == [0o700, 0o600]
    text = (store.directory / "current.json").read_text()
    hashes = [item.sha256 for item in bundle.files if item.kind is FileKind.ENVIRONMENT]
    hashes += [item.sha256 for item in bundle.sources]
    assert not [digest for digest in hashes if digest in text]


def test_forgotten_project_leaves_nothing(store: Store, tmp_path: Path) -> None:
    store.save(Installed(generation=1, bundle=one()))
    store.forget()
    assert list((tmp_path / "var/lib").iterdir()) == []
    store.forget()


def test_forgetting_one_project_keeps_the_others(store: Store, tmp_path: Path) -> None:
    other = Store(system_layout(tmp_path), "blog")
    for item in (store, other):
        item.save(Installed(generation=1, bundle=one()))
    assert known_projects(tmp_path / "var/lib/pm-native") == ["blog", "shop"]
    store.forget()
    assert known_projects(tmp_path / "var/lib/pm-native") == ["blog"]
    assert known_projects(tmp_path / "nowhere") == []


GOOD = {"format": 1, "generation": 1, "complete": True, "bundle": {}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "PATH is damaged: JSONDecodeError"),
        ("[]", "PATH is damaged: TypeError"),
        ("[" * 100_000, "PATH is damaged: RecursionError"),
        ("{}", "PATH is damaged: KeyError('format')"),
        (json.dumps({**GOOD, "format": "x"}), "PATH is damaged: TypeError"),
        (json.dumps({**GOOD, "complete": 3}), "PATH is damaged: TypeError"),
        (
            json.dumps({**GOOD, "format": 2}),
            "PATH: it is from a newer pm-native (format 2, this one knows 1)",
        ),
        (
            json.dumps({"format": 1, "generation": 1, "complete": True}),
            "PATH is damaged: KeyError('bundle')",
        ),
        (json.dumps(GOOD), "PATH: the manifest is damaged: KeyError('project')"),
        (
            json.dumps({**GOOD, "bundle": {"format": 9}}),
            "PATH: the manifest has format 9, newer than this pm-native knows (1)",
        ),
        (
            json.dumps({**GOOD, "to_start": 3, "bundle": None}),
            "PATH: the manifest is damaged: not a JSON object",
        ),
    ],
)
def test_damaged_and_newer_records_are_named_never_guessed(store: Store, text: str, expected: str) -> None:
    store.directory.mkdir(parents=True)
    path = store.directory / "current.json"
    path.write_text(text)
    with pytest.raises(StateError) as caught:
        store.load()
    assert caught.value.message.startswith(expected.replace("PATH", str(path)))


def test_record_that_is_no_text_is_damaged(store: Store) -> None:
    store.directory.mkdir(parents=True)
    (store.directory / "current.json").write_bytes(b"\xff\xfe")
    with pytest.raises(StateError, match=r"current\.json is damaged"):
        store.load()


def test_record_of_another_user_cannot_be_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(AccessError) as caught:
        store.load()
    assert caught.value.hint == "use sudo"


def places(layout: Layout) -> list[str]:
    return [
        str(path)
        for path in (
            layout.units,
            layout.environment("shop"),
            layout.records("shop"),
            layout.lock("shop"),
        )
    ]


def test_system_layout_is_below_its_root() -> None:
    assert places(system_layout()) == [
        "/etc/systemd/system",
        "/etc/pm-native/shop",
        "/var/lib/pm-native/shop",
        "/run/pm-native-system-shop.lock",
    ]
    assert places(system_layout(Path("/mnt")))[0] == "/mnt/etc/systemd/system"


def test_user_layout_follows_xdg() -> None:
    environ = {"HOME": "/home/ada", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert places(user_layout(environ)) == [
        "/home/ada/.config/systemd/user",
        "/home/ada/.config/pm-native/shop",
        "/home/ada/.local/state/pm-native/shop",
        "/run/user/7/pm-native-user-shop.lock",
    ]
    moved = {**environ, "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"}
    assert places(user_layout(moved, Path("/mnt")))[::2] == ["/mnt/c/systemd/user", "/mnt/s/pm-native/shop"]
    assert user_layout(environ).scope is Scope.USER
