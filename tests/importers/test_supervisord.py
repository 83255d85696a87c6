"""What the cases do not show: the table of fields, priorities by the thousand, hostile files."""

from __future__ import annotations

import re

import pytest

from pm_native.errors import Diagnostics, Source
from pm_native.importers.supervisord import IMPORTER
from pm_native.importers.supervisord.environment import parse_environment
from pm_native.syntax.ini import IniEntry
from tests.importers.helpers import told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from tests.importers.helpers import Read

_LOGS = " ".join(
    f"{stream}_{key}"
    for stream in ("stdout", "stderr")
    for key in (
        *("logfile", "logfile_maxbytes", "logfile_backups", "capture_maxbytes", "events_enabled", "syslog"),
    )
)
# supervisord's own documentation, section by section.
FORMAT = {
    "[program:x]": "command process_name numprocs numprocs_start priority autostart startsecs startretries autorestart"
    " exitcodes stopsignal stopwaitsecs stopasgroup killasgroup user umask directory environment redirect_stderr"
    f" serverurl {_LOGS}",
    "[fcgi-program:x]": "socket socket_backlog socket_owner socket_mode",
    "[eventlistener:x]": "command events buffer_size result_handler",
    "[group:x]": "programs priority",
    "[include]": "files",
    "[supervisord]": "logfile logfile_maxbytes logfile_backups loglevel pidfile umask nodaemon silent minfds minprocs"
    " nocleanup childlogdir user directory strip_ansi environment identifier",
    "[unix_http_server]": "file chmod chown username password",
    "[inet_http_server]": "port username password",
    "[supervisorctl]": "serverurl username password prompt history_file",
    "[rpcinterface:x]": "supervisor.rpcinterface_factory",
}


def test_table_has_every_field_of_the_format() -> None:
    fields = IMPORTER.fields()
    assert {(item.section, item.name) for item in fields} == {
        (section, name) for section, names in FORMAT.items() for name in names.split()
    }
    assert len({(item.section, item.name) for item in fields}) == len(fields)


def test_field_that_becomes_nothing_says_why_and_what_to_do() -> None:
    for item in IMPORTER.fields():
        assert item.becomes or item.differs, item
        assert item.becomes or item.instead or item.harmless, item


def test_many_programs_of_two_priorities_do_not_all_depend_on_each_other(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text(
        "".join(f"[program:p{n}]\ncommand = /bin/true\npriority = {1 + n % 2}\n" for n in range(200))
    )
    project, _ = read(IMPORTER, path)
    assert project is not None
    assert {tuple(item.name for item in process.depends_on) for process in project.processes} == {
        (),
        ("p198",),
    }


def test_include_of_the_whole_disk_is_refused_at_once(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text("[include]\nfiles = /*/*/*/*/*.conf\n[program:a]\ncommand = /bin/true\n")
    _, problems = read(IMPORTER, path)
    assert told(problems)[0] == (
        "supervisord.conf:2:9: error: /*/*/*/*/*.conf has wild cards in 4 folders [supervisord-include]\n"
        "    name the folders: up to 2 may have one"
    )


def test_file_that_includes_itself_is_read_once(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text("[include]\nfiles = *.conf\n[program:a]\ncommand = /bin/true\n")
    project, problems = read(IMPORTER, path)
    assert project is not None
    assert [process.name for process in project.processes] == ["a"]
    assert not [
        item for item in problems if item.code.startswith(("supervisord-include", "supervisord-sec"))
    ]


def test_width_that_would_fill_the_memory_is_no_format(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text("[program:a]\ncommand = /bin/true %(process_num)999999999d\n")
    _, problems = read(IMPORTER, path)
    assert re.search(r"supervisord\.conf:2:21: error: a % that begins no", told(problems)[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('A="1",B="2"', {"A": "1", "B": "2"}),
        ("A=1,B=two,", {"A": "1", "B": "two"}),
        ("A='x y' , B=/srv/a-b.c:9+(x)", {"A": "x y", "B": "/srv/a-b.c:9+(x)"}),
        ('A="a,b=c;d"', {"A": "a,b=c;d"}),
        ("", {}),
    ],
)
def test_environment_is_read_as_supervisord_reads_it(text: str, expected: dict[str, str]) -> None:
    problems = Diagnostics()
    entry = IniEntry(Source("f", f"environment = {text}"), "environment", 1, 1, [(0, 1, 15)], text)
    assert {name: item.value for name, item in parse_environment(entry, text, problems).items()} == expected
    assert list(problems) == []
