"""What systemd itself thinks of how far services are kept from the host: `systemd-analyze security`, offline.

It counts from 0 (nothing is in reach) to 10. All files are asked about in two calls, whatever their number: one for the
overall figures, which only the table for people has, one for what they are made of.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pm_native.errors import UnavailableError
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pm_native.compile.bundle import BundleFile

OFFLINE_SINCE = 250
ASK_SEC = 120.0
_OVERALL = re.compile(r"Overall exposure level for (\S+): (\d+\.\d) ([A-Z]+)")


@dataclass(frozen=True, slots=True)
class Cost:
    """One thing that a service is not kept from: the directive that would, and how much of the exposure it makes."""

    directive: str
    exposure: float
    description: str


@dataclass(frozen=True, slots=True)
class Exposure:
    """The overall figure of one service with systemd's word for it, and what it is made of, the most first."""

    overall: float
    word: str
    costs: tuple[Cost, ...] = ()


def overall_exposures(files: Sequence[BundleFile], scope: Scope) -> list[Exposure]:
    """The overall figures of these service units, in their order; UnavailableError where systemd-analyze cannot tell."""
    if not files:
        return []
    found = _OVERALL.findall(_ask(files, scope))
    if len(found) != len(files):
        raise UnavailableError(f"systemd-analyze judged {len(found)} of {len(files)} units")
    return [Exposure(float(figure), word.lower()) for _, figure, word in found]


def exposure_costs(files: Sequence[BundleFile], scope: Scope) -> list[tuple[Cost, ...]]:
    """What the figures of these service units are made of, in their order."""
    if not files:
        return []
    text = _ask(files, scope, "--json=short")
    tables = [json.loads(line) for line in text.splitlines() if line.startswith("[")]
    if len(tables) != len(files):
        raise UnavailableError(f"systemd-analyze explained {len(tables)} of {len(files)} units")
    return [_costs(table, scope) for table in tables]


def _costs(table: list[dict[str, str | None]], scope: Scope) -> tuple[Cost, ...]:
    costs = [
        Cost(str(row["name"]), float(row["exposure"] or 0), str(row["description"]))
        for row in table
        # systemd-analyze takes a user's service for root's, since it has no User=.
        if not (scope is Scope.USER and row["json_field"] == "UserOrDynamicUser")
    ]
    return tuple(sorted((cost for cost in costs if cost.exposure), key=lambda cost: -cost.exposure))


def _ask(files: Sequence[BundleFile], scope: Scope, *words: str) -> str:
    """What systemd-analyze prints of the files, under names of their own: one unit may be there in several variants."""
    with TemporaryDirectory(prefix="pm-native-") as folder:
        paths: list[str] = []
        for number, item in enumerate(files):
            path = Path(folder) / f"{number}-{item.name}"
            path.write_bytes(item.text.encode())
            paths.append(str(path))
        # A user's manager has a runtime directory; offline none is looked into, but one has to be named.
        environment = {"XDG_RUNTIME_DIR": folder, **os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}
        command = ["systemd-analyze", f"--{scope.value}", "--no-pager", "--offline=yes", *words, "security"]
        try:
            run = subprocess.run(
                [*command, *paths],
                env=environment,
                capture_output=True,
                encoding="utf-8",
                timeout=ASK_SEC,
                check=False,
            )
        except FileNotFoundError as error:
            raise UnavailableError(
                "there is no systemd-analyze on this host", hint="install systemd"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(f"systemd-analyze gave no answer within {ASK_SEC:g} s") from error
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["it said nothing"])[-1]
        hint = f"it can look at unit files from systemd {OFFLINE_SINCE} on"
        raise UnavailableError(f"systemd-analyze cannot judge the units: {last}", hint=hint)
    return run.stdout
