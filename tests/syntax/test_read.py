from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_native.errors import Diagnostics
from pm_native.syntax.read import MAX_BYTES, read_source
from tests.syntax.told import lines


def test_text_is_read_under_the_name_the_user_knows(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_bytes("\ufeffa = 'é'\r\n".encode())
    problems = Diagnostics()
    source = read_source(path, "f.toml", problems)
    assert lines(problems) == []
    assert source is not None
    assert (source.name, source.text, source.line(1)) == ("f.toml", "a = 'é'\r\n", "a = 'é'")


@pytest.mark.parametrize(
    ("data", "said", "hint"),
    [
        (b"", "0:0-0 error file-empty: this file is empty", ""),
        (b"\xef\xbb\xbf \r\n\t\n", "0:0-0 error file-empty: this file is empty", ""),
        (b"a = 1\n\xc3\xa9b\0c", "2:3-4 error file-binary: a NUL byte: this is no text file", ""),
        (
            b"a = 1\n\xc3\xa9 = 'caf\xe9'\n",
            "2:9-10 error file-binary: byte 0xe9 is not UTF-8",
            "save the file as UTF-8; if it is not text at all, it is the wrong file",
        ),
        (
            b"\xef\xbb\xbfab\xff",
            "1:3-4 error file-binary: byte 0xff is not UTF-8",
            "save the file as UTF-8; if it is not text at all, it is the wrong file",
        ),
        ("a = 1".encode("utf-16"), "0:0-0 error file-binary: this file is UTF-16 text", "save it as UTF-8"),
        (
            b"\xed\xa0\x80",
            "1:1-2 error file-binary: byte 0xed is not UTF-8",
            "save the file as UTF-8; if it is not text at all, it is the wrong file",
        ),
    ],
)
def test_what_is_wrong_with_the_bytes_is_told(tmp_path: Path, data: bytes, said: str, hint: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(data)
    problems = Diagnostics()
    assert read_source(path, "f", problems) is None
    assert lines(problems) == [(said, hint)]


def test_place_in_a_binary_file_shows_what_stands_before_it(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a = 1\nb = \xff")
    problems = Diagnostics()
    assert read_source(path, "f", problems) is None
    span = problems.items[0].span
    assert (str(span), span.source.line(2)) == ("f:2:5", "b = ")


def test_empty_file_can_be_allowed(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"")
    problems = Diagnostics()
    source = read_source(path, "f", problems, allow_empty=True)
    assert lines(problems) == []
    assert source is not None
    assert source.text == ""


def test_missing_file_is_told_with_a_neighbour_of_nearly_its_name(tmp_path: Path) -> None:
    (tmp_path / "pm-native.toml").write_text("a = 1")
    problems = Diagnostics()
    assert read_source(tmp_path / "pm_native.toml", "f", problems) is None
    assert read_source(tmp_path / "other", "f", problems) is None
    assert read_source(tmp_path / "no" / "f", "g", problems) is None
    assert read_source(tmp_path / "pm-native.toml" / "f", "h", problems) is None
    assert [(str(item.span), item.code, item.message, item.hint) for item in problems] == [
        ("f", "file-missing", "there is no such file", "did you mean pm-native.toml?"),
        ("f", "file-missing", "there is no such file", ""),
        ("g", "file-missing", "there is no such file", ""),
        ("h", "file-missing", "there is no such file", ""),
    ]


def test_directory_is_told(tmp_path: Path) -> None:
    problems = Diagnostics()
    assert read_source(tmp_path, "f", problems) is None
    assert lines(problems) == [
        ("0:0-0 error file-is-directory: this is a directory, not a file", "give the file in it")
    ]


def test_impossible_path_is_told() -> None:
    problems = Diagnostics()
    assert read_source(Path("a\0b"), "f", problems) is None
    assert lines(problems) == [
        ("0:0-0 error file-unreadable: this file cannot be read: embedded null byte", "")
    ]


def test_link_to_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").symlink_to("f")
    problems = Diagnostics()
    assert read_source(tmp_path / "f", "f", problems) is None
    assert lines(problems) == [
        ("0:0-0 error file-unreadable: this file cannot be read: Too many levels of symbolic links", "")
    ]


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_could_be_waited_on_for_ever_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    problems = Diagnostics()
    assert read_source(path if kind == "pipe" else Path("/dev/zero"), "f", problems) is None
    reason = "it is a pipe, a socket or a device"
    assert lines(problems) == [(f"0:0-0 error file-unreadable: this file cannot be read: {reason}", "")]


def test_digest_is_that_of_the_bytes_that_were_read(tmp_path: Path) -> None:
    data = "\ufeffa = 'é'\r\n".encode()
    (tmp_path / "f").write_bytes(data)
    source = read_source(tmp_path / "f", "f", Diagnostics())
    assert source is not None
    assert source.sha256 == sha256(data).hexdigest()


def test_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pm_native.syntax.read.open_file", refuse)  # root may read everything
    problems = Diagnostics()
    assert read_source(tmp_path / "f", "f", problems) is None
    assert lines(problems) == [
        (
            "0:0-0 error file-unreadable: this file may not be read",
            "check the mode and the owner of the file and of the directories above it",
        )
    ]


def test_file_of_ten_megabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    os.truncate(path, 10 * 1024 * 1024)
    problems = Diagnostics()
    assert read_source(path, "f", problems) is None
    assert lines(problems) == [
        ("0:0-0 error file-too-big: this file has more than 4096 KiB", "is this the right file?")
    ]


def test_the_bound_counts_bytes_and_is_inclusive(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("é" * 5, encoding="utf-8")
    problems = Diagnostics()
    assert read_source(path, "f", problems, max_bytes=10) is not None
    assert read_source(path, "f", problems, max_bytes=9) is None
    assert lines(problems) == [
        ("0:0-0 error file-too-big: this file has more than 9 bytes", "is this the right file?")
    ]
    assert MAX_BYTES == 4 * 1024 * 1024


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(st.binary(max_size=60), st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")))
)
def test_no_bytes_make_it_raise(data: bytes) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory, "f")
        path.write_bytes(data)
        problems = Diagnostics()
        source = read_source(path, "f", problems)
    assert (source is None) == problems.has_errors
    if source is not None:
        assert source.text.encode() == data.removeprefix(b"\xef\xbb\xbf")
