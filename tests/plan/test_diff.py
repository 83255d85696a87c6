"""What differs between two texts of a unit file, and whether a running unit has to be started again for it."""

from __future__ import annotations

import pytest

from pm_native.plan.diff import changed_directives, needs_restart

BASE = "[Unit]\nDescription=a\n\n[Service]\nExecStart=:/bin/a\nEnvironment=A=1\nEnvironment=B=2\n"


def changes(new: str, old: str = BASE) -> list[tuple[str, str, str]]:
    return [(change.directive, change.old, change.new) for change in changed_directives(old, new)]


def test_directives_differ_by_all_their_values_in_order() -> None:
    assert changes(BASE.replace("A=1", "A=3") + "User=bob\n") == [
        ("Service.Environment", "A=1\nB=2", "A=3\nB=2"),
        ("Service.User", "", "bob"),
    ]
    swapped = BASE.replace("A=1", "X").replace("B=2", "A=1").replace("X", "B=2")
    assert changes(swapped) == [("Service.Environment", "A=1\nB=2", "B=2\nA=1")]


def test_directive_that_went_is_a_change() -> None:
    assert changes(BASE.replace("Description=a\n", "")) == [("Unit.Description", "a", "")]


def test_layout_comments_and_install_are_no_change() -> None:
    spaced = "# other header\n; comment\n[Unit]\nDescription = a\n[Service]\nExecStart=:/bin/a\n\nEnvironment=A=1\n"
    assert changes(spaced + "Environment=B=2\n[Install]\nWantedBy=x.target\n") == []


def test_a_text_that_is_no_unit_file_differs_as_a_whole() -> None:
    found = changed_directives("gibberish\n", BASE)
    assert ("text", "gibberish\n", "") in [(item.directive, item.old, item.new) for item in found]
    assert needs_restart(found)


@pytest.mark.parametrize(
    ("section", "line", "restarts"),
    [
        ("Unit", "Description=b", False),
        ("Unit", "Wants=x.service", False),
        ("Unit", "ConditionPathExists=/x", False),
        ("Unit", "StartLimitBurst=3", False),
        ("Service", "Restart=no", False),
        ("Service", "RestartSec=3", False),
        ("Service", "RestartSteps=3", False),
        ("Service", "KillSignal=SIGINT", False),
        ("Service", "TimeoutStopSec=3", False),
        ("Service", "SuccessExitStatus=3", False),
        ("Service", "ExecReload=/bin/true", False),
        ("Service", "ExecStop=/bin/true", False),
        ("Service", "Type=notify", True),
        ("Service", "User=bob", True),
        ("Service", "Environment=C=1", True),
        ("Service", "Environment=PM_NATIVE_INSTANCES=3", False),
        ("Service", "EnvironmentFile=/x", True),
        ("Service", "WorkingDirectory=/x", True),
        ("Service", "StandardOutput=append:/x", True),
        ("Service", "LimitNOFILE=10", True),
        ("Service", "Slice=x.slice", True),
        ("Service", "SyslogIdentifier=x", True),
        ("Service", "MemoryMax=1G", False),
        ("Service", "CPUWeight=10", False),
        ("Service", "IOReadBandwidthMax=/ 1M", False),
        ("Service", "IPAddressDeny=any", False),
        ("Service", "Delegate=yes", True),
        ("Service", "MemoryPressureWatch=on", True),
        ("Socket", "Backlog=10", True),
        ("Socket", "ListenStream=3001", True),
        ("Socket", "SocketMode=0600", True),
        ("Socket", "TriggerLimitBurst=1", False),
        ("Socket", "Service=x.service", False),
        ("Socket", "TasksMax=1", False),
        ("Slice", "MemoryMax=1G", False),
        ("Slice", "CPUQuota=10%", False),
        ("Timer", "OnCalendar=daily", False),
        ("Timer", "AccuracySec=1s", False),
        ("Install", "WantedBy=x.target", False),
    ],
)
def test_which_changes_a_running_unit_must_restart_for(section: str, line: str, *, restarts: bool) -> None:
    changed = f"{BASE}[{section}]\n{line}\n"
    assert needs_restart(changed_directives(BASE, changed)) is restarts
    assert needs_restart(changed_directives(changed, BASE)) is restarts
