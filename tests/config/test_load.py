"""Files that are no config at all, and the same config in each format."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import PurePosixPath

import pytest

from pm_native.config.load import load_project, parse_text
from pm_native.errors import Diagnostics, Source
from pm_native.model.record import SourceFile
from tests.cases.case import rendered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.model.project import Project

TREE: dict[str, object] = {
    "project": {
        "name": "shop",
        "directory": "/srv/shop",
        "user": "shop",
        "environment": {"A": "1", "FLAG": "yes"},
    },
    "process": {
        "migrate": {"command": "bin/migrate --all 'two words'", "kind": "task", "start_timeout": "5min"},
        "api": {
            "command": ["node", "server.js", "100%"],
            "instances": 4,
            "listen": {"port": 3000},
            "depends_on": {"migrate": "completed"},
            "restart": {"policy": "on-failure", "delay": "500ms", "limit": 0, "prevent_codes": [2, 78]},
            "stop": {"signal": "SIGINT", "timeout": 20, "mode": "mixed", "success_codes": 3},
            "limits": {"memory": "512M", "cpu": "150%", "tasks": 256, "open_files": 65536},
            "logs": {"stdout": "log/api.log"},
            "on_change": "keep",
            "restart_on": ["conf", "/etc/shop.conf"],
            "protect": True,
            "umask": "027",
            "environment": {"UTF8": "café → 日本"},
            "systemd": {"Service": {"LimitCORE": "infinity", "PrivateTmp": True, "Nice": 5}},
        },
        "backup": {"command": "bin/backup", "schedule": ["daily", "0 3 * * 1"], "autostart": False},
    },
}


def toml_of(value: object) -> str:
    match value:
        case dict():
            return (
                "{ "
                + ", ".join(f"{json.dumps(key)} = {toml_of(item)}" for key, item in value.items())
                + " }"
            )
        case list():
            return "[" + ", ".join(map(toml_of, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def toml_text(tree: dict[str, object]) -> str:
    return "\n".join(f"{key} = {toml_of(value)}" for key, value in tree.items())


def yaml_text(tree: dict[str, object]) -> str:
    import yaml

    text: str = yaml.safe_dump(tree, allow_unicode=True, sort_keys=False)
    return text


def loaded(path: Path, text: str | bytes) -> tuple[Project | None, str]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    problems = Diagnostics()
    project = load_project(path, path.name, problems)
    return project, rendered(problems)


def fields(project: Project) -> list[object]:
    """The processes field by field, places taken out."""
    found: list[object] = [project.name, project.directory]
    for process in project.processes:
        found += [
            (process.name, process.command, process.directory, process.kind, process.instances),
            (process.listen, process.restart, process.stop, process.limits, process.logs, process.schedule),
            (
                process.on_change,
                process.restart_on,
                process.autostart,
                process.notify,
                process.start_timeout_usec,
                process.protect,
            ),
            (process.user, process.group, process.umask),
            [(item.name, item.condition) for item in process.depends_on],
            {name: variable.value for name, variable in process.environment.items()},
            [(item.section, item.name, item.values) for item in process.systemd],
            [*process.origins],
        ]
    return found


def test_formats_mean_the_same(tmp_path: Path) -> None:
    texts = {
        "pm-native.toml": toml_text(TREE),
        "pm-native.yaml": yaml_text(TREE),
        "pm-native.yml": yaml_text(TREE),
        "pm-native.json": json.dumps(TREE),
    }
    found = []
    for name, text in texts.items():
        project, told = loaded(tmp_path / name, text)
        assert told == ""
        assert project is not None
        found.append(fields(project))
    assert found[0] == found[1] == found[2] == found[3]


def test_project_knows_what_it_was_read_from(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("A=1\n", encoding="utf-8")
    text = '[project]\nname = "shop"\nenvironment_files = "a.env"\n[process.web]\ncommand = "true"\n'
    project, told = loaded(tmp_path / "pm-native.toml", text)
    assert told == ""
    assert project is not None
    assert project.directory == PurePosixPath(tmp_path)
    assert project.source_path == str(tmp_path / "pm-native.toml")
    assert project.sources == tuple(
        SourceFile(path=str(tmp_path / name), sha256=sha256(data).hexdigest())
        for name, data in (("pm-native.toml", text.encode()), ("a.env", b"A=1\n"))
    )


def test_name_of_the_folder_is_the_name_of_the_project(tmp_path: Path) -> None:
    text = '[process.web]\ncommand = "true"\n'
    for folder, told in (
        ("shop", ""),
        (
            "my shop",
            (
                "pm-native.toml: error: the folder's name cannot be the project's: 'my shop' [bad-name]\n"
                '  hint: name it: [project] with name = "..."'
            ),
        ),
    ):
        (tmp_path / folder).mkdir()
        project, said = loaded(tmp_path / folder / "pm-native.toml", text)
        assert (project and project.name, said) == (folder, told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "pm-native.toml: error: this file is empty [file-empty]"),
        (b" \n\t\n", "pm-native.toml: error: this file is empty [file-empty]"),
        (
            b"a = 1\nb = \xff\n",
            (
                "pm-native.toml:2:5: error: byte 0xff is not UTF-8 [file-binary]\n"
                "  2 | b =\n"
                "    |     ^\n"
                "  hint: save the file as UTF-8; if it is not text at all, it is the wrong file"
            ),
        ),
        (
            b"\x7fELF\x02\x01\x01\0\0\0",
            (
                "pm-native.toml:1:8: error: a NUL byte: this is no text file [file-binary]\n"
                "  1 | \ufffdELF\ufffd\ufffd\ufffd\n"
                "    |        ^"
            ),
        ),
        (
            b"# " + b"x" * 10_000_000,
            (
                "pm-native.toml: error: this file has more than 4096 KiB [file-too-big]\n"
                "  hint: is this the right file?"
            ),
        ),
    ],
    ids=["empty", "blank", "latin-1", "program", "10-mb"],
)
def test_files_that_are_no_config(tmp_path: Path, content: bytes, told: str) -> None:
    assert loaded(tmp_path / "pm-native.toml", content) == (None, told)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "pm-native.toml").write_text("", encoding="utf-8")
    (tmp_path / "folder.toml").mkdir()
    for name, told in (
        (
            "pm-natve.toml",
            "x: error: there is no such file [file-missing]\n  hint: did you mean pm-native.toml?",
        ),
        (
            "folder.toml",
            "x: error: this is a directory, not a file [file-is-directory]\n  hint: give the file in it",
        ),
    ):
        problems = Diagnostics()
        assert load_project(tmp_path / name, "x", problems) is None
        assert rendered(problems) == told


def test_format_is_told_by_the_suffix() -> None:
    problems = Diagnostics()
    assert parse_text(Source("shop.ini", "x"), ".ini", problems) is None
    assert rendered(problems) == (
        "shop.ini: error: cannot tell the format by the suffix '.ini' [unknown-format]\n"
        "  hint: a native config ends in .toml, .yaml, .yml or .json"
    )


def test_missing_environment_file_names_its_way_out(tmp_path: Path) -> None:
    text = '[process.web]\ncommand = "true"\nenvironment_files = ["a.env", "-b.env"]\n'
    _, told = loaded(tmp_path / "pm-native.toml", '[project]\nname = "shop"\n' + text)
    assert told == (
        f"pm-native.toml:5:1: error: there is no environment file {tmp_path}/a.env [environment-file-missing]\n"
        '  5 | environment_files = ["a.env", "-b.env"]\n'
        "    | ^^^^^^^^^^^^^^^^^\n"
        f'  hint: a file that may be missing is written "-{tmp_path}/a.env"'
    )
