"""Generated sets: what is written is what is read, and anything else is refused."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from errno import ENOSPC
from hashlib import sha256

import pytest

from pm_native.compile.bundle import MANIFEST_NAME
from pm_native.errors import AccessError, StaleError, StateError, UnavailableError
from pm_native.model.record import SourceFile
from pm_native.state.output import Written, read_set, write_set
from pm_native.state.trust import Folder
from tests.plan.hosts import make_bundle, one, service_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pm_native.compile.bundle import Bundle
    from pm_native.errors import PmNativeError

AGAIN = "run `pm-native generate` again"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "shop.toml"
    path.write_text("[project]\n")
    return path


@pytest.fixture
def bundle(source: Path) -> Bundle:
    digest = sha256(source.read_bytes()).hexdigest()
    base = make_bundle(
        *one().units[1:], texts={"shop-web.service": service_text()}, env={"shop-web.env": "A=é\n"}
    )
    return replace(base, sources=(SourceFile(path=str(source), sha256=digest),))


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    write_set(bundle, tmp_path / "set")
    return tmp_path / "set"


def test_set_comes_back_as_it_was_written(bundle: Bundle, folder: Path) -> None:
    assert read_set(folder) == bundle


def test_environment_files_of_a_set_are_for_its_owner_alone(folder: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert (modes["shop-web.env"], modes["shop-web.service"]) == (0o600, 0o644)


def test_writing_again_writes_nothing(bundle: Bundle, folder: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert write_set(bundle, folder) == Written(unchanged=3)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_files_of_the_last_set_go_and_files_of_others_stay(folder: Path) -> None:
    (folder / "notes.txt").touch()
    assert write_set(make_bundle(texts={}), folder) == Written(
        removed=("shop-web.env", "shop-web.service"), unchanged=1
    )
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", MANIFEST_NAME, "shop.target"]


def refusal(folder: Path, kind: type[PmNativeError]) -> tuple[str, str]:
    with pytest.raises(kind) as caught:
        read_set(folder)
    return caught.value.message, caught.value.hint


def test_folder_without_a_set_is_told_apart(tmp_path: Path) -> None:
    assert refusal(tmp_path / "set", UnavailableError) == (
        f"there is no generated set in {tmp_path}/set",
        "run `pm-native generate` first",
    )


def test_edited_file_is_refused(folder: Path) -> None:
    (folder / "shop-web.service").write_text(service_text("evil"))
    message = f"{folder}/shop-web.service has changed since it was generated"
    assert refusal(folder, StaleError) == (message, AGAIN)


def test_missing_file_is_refused(folder: Path) -> None:
    (folder / "shop-web.env").unlink()
    assert refusal(folder, StaleError) == (f"{folder}/shop-web.env is missing", AGAIN)


def test_changed_and_missing_sources_are_refused(folder: Path, source: Path) -> None:
    source.write_text("[project]\nname = 'x'\n")
    message = f"{source} has changed since the units were generated"
    assert refusal(folder, StaleError) == (message, AGAIN)
    source.unlink()
    message = f"the source {source} cannot be read any more: No such file or directory"
    assert refusal(folder, StaleError) == (message, AGAIN)


def change(folder: Path, edit: Callable[[dict[str, object]], object]) -> None:
    data = json.loads((folder / MANIFEST_NAME).read_text())
    edit(data)
    (folder / MANIFEST_NAME).write_text(json.dumps(data))


@pytest.mark.parametrize(
    "name", ["../shop-web.service", "/etc/passwd", "", ".", "..", "a/b", "a\0b", MANIFEST_NAME]
)
def test_names_that_lead_out_of_the_folder_are_refused(folder: Path, name: str) -> None:
    outside = f"the manifest names a file outside of its directory: {name!r}"
    change(folder, lambda data: data.update(wanted_by={name: "multi-user.target"}))
    assert refusal(folder, StateError) == (outside, AGAIN)
    change(folder, lambda data: data.update(wanted_by={"shop.target": name}))
    assert refusal(folder, StateError) == (outside, AGAIN)
    change(folder, lambda data: data.update(files=[{"kind": "unit", "name": name, "sha256": ""}]))
    assert refusal(folder, StateError) == (outside, AGAIN)


def test_project_that_leads_out_of_the_records_is_refused(folder: Path) -> None:
    change(folder, lambda data: data.update(project="../../etc"))
    assert refusal(folder, StateError) == ("the manifest names no valid project: '../../etc'", AGAIN)


def test_newer_format_is_refused(folder: Path) -> None:
    change(folder, lambda data: data.update(format=2))
    message, _ = refusal(folder, StateError)
    assert message == "the manifest has format 2, newer than this pm-native knows (1)"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "\N{BYTE ORDER MARK}{}"])
def test_damaged_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / MANIFEST_NAME).write_text(text)
    with pytest.raises(StateError, match="is damaged"):
        read_set(folder)


def test_damaged_fields_are_refused(folder: Path) -> None:
    for field in (
        {"files": 3},
        {"files": [{"name": 3}]},
        {"scope": "galaxy"},
        {"units": [{"colour": "red"}]},
    ):
        change(folder, lambda data, field=field: data.update(field))  # type: ignore[misc]
        with pytest.raises(StateError, match="is damaged"):
            read_set(folder)


def test_file_that_is_a_folder_and_file_that_may_not_be_read_are_failures_with_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "shop-web.env").unlink()
    (folder / "shop-web.env").mkdir()
    assert refusal(folder, UnavailableError)[0] == f"cannot read {folder}/shop-web.env: Is a directory"

    def refuse(folder: Folder, name: str) -> bytes:
        raise PermissionError(13, "Permission denied", str(folder.path / name))

    monkeypatch.setattr(Folder, "read", refuse)
    assert refusal(folder, AccessError)[0] == f"cannot read {folder}/{MANIFEST_NAME}: permission denied"


@pytest.mark.parametrize("name", ["pm-native-manifest.json", "shop-web.service"])
def test_set_is_never_written_through_a_link(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "units"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises((UnavailableError, AccessError)) as caught:
        write_set(one(), folder)
    assert str(folder / name) in caught.value.message
    assert not (tmp_path / "elsewhere").exists()


def test_changed_file_of_a_set_is_a_new_one(folder: Path) -> None:
    """Who has the old one, or owns it, does not get to read what is in the new one."""
    path = folder / "shop-web.env"
    path.chmod(0o666)
    with path.open() as others:
        write_set(make_bundle(texts={}, env={"shop-web.env": "A=hunter2\n"}), folder)
        assert others.read() == "A=é\n"
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("A=hunter2\n", 0o600)


def test_pipe_in_the_place_of_a_file_is_not_waited_for(folder: Path, bundle: Bundle) -> None:
    (folder / "shop-web.env").unlink()
    os.mkfifo(folder / "shop-web.env")
    assert write_set(bundle, folder) == Written(changed=("shop-web.env",), unchanged=2)
    assert read_set(folder) == bundle


def test_folder_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "shop-web.service").mkdir()
    with pytest.raises(UnavailableError) as caught:
        write_set(one(), tmp_path)
    assert caught.value.message == f"cannot write {tmp_path / 'shop-web.service'}: Is a directory"


def test_full_disk_is_told_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(ENOSPC, os.strerror(ENOSPC))

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(UnavailableError) as caught:
        write_set(one(), tmp_path)
    first = one().files[0].name
    assert caught.value.message == f"cannot write {tmp_path / first}: No space left on device"


def test_manifest_is_for_its_owner_alone(tmp_path: Path) -> None:
    write_set(one(), tmp_path)
    assert (tmp_path / "pm-native-manifest.json").stat().st_mode & 0o777 == 0o600
