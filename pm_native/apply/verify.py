"""What systemd itself says of unit files before they are installed: `systemd-analyze verify` on a staged copy.

All of them in one call, which costs 10 ms for one, 60 ms for 100 and 250 ms for 1000 (252): only files that differ
from the host's are asked about, and `--recursive-errors=no` keeps it from judging the units around them.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from pm_native.errors import ConfigError, Diagnostic, Source, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pm_native.compile.bundle import Bundle, BundleFile
    from pm_native.unit.name import Scope

VERIFY_SEC = 60.0
AT_ONCE = 500  # files in one call: their paths are arguments
_PROGRAM = re.compile(r"Command .* is not executable: ")
_UNKNOWN = re.compile(r"Unknown (key|lvalue|section) ")
_WHERE = re.compile(r"(.*):(\d+)")


async def verify_units(
    bundle: Bundle, files: Sequence[BundleFile], *, systemd_version: int, allow_missing: bool
) -> None:
    """Ask systemd about the unit files `files` of `bundle`; ConfigError with a diagnostic for each complaint.

    Not taken as a complaint: a program that is not there, with `allow_missing`; a directive newer than this systemd,
    which the compiler has warned of. Where there is no systemd-analyze nothing is asked.
    """
    complaints: list[Diagnostic] = []
    with TemporaryDirectory(prefix="pm-native-") as folder:
        for item in files:
            (Path(folder) / item.name).write_bytes(item.text.encode())
        for start in range(0, len(files), AT_ONCE):
            batch = [str(Path(folder) / item.name) for item in files[start : start + AT_ONCE]]
            lines = await _ask(bundle.scope, folder, batch)
            complaints += _complaints(bundle, folder, lines)
    refused = [
        item
        for item in complaints
        if not (allow_missing and _PROGRAM.search(item.message))
        and not (bundle.systemd_version <= systemd_version and _UNKNOWN.search(item.message))
    ]
    if refused:
        raise ConfigError(refused)


async def _ask(scope: Scope, folder: str, paths: list[str]) -> list[str]:
    """The lines that systemd-analyze says of the files; none where it cannot be run."""
    words = ["verify", "--man=no", "--recursive-errors=no", *paths]
    # The colon at the end stands for the usual directories: what does not change is found there.
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:", "LC_ALL": "C.UTF-8"}
    try:
        process = await asyncio.create_subprocess_exec(
            "systemd-analyze",
            f"--{scope.value}",
            *words,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        return []
    try:
        async with asyncio.timeout(VERIFY_SEC):
            _, errors = await process.communicate()
    except TimeoutError:
        return []  # a slow host is no reason to refuse units: systemd will say the same when it loads them
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return errors.decode(errors="replace").splitlines()


def _complaints(bundle: Bundle, folder: str, lines: Iterable[str]) -> Iterator[Diagnostic]:
    """The lines that are about our units, at the lines of the config that made them; others' are not our matter."""
    processes = {unit.process: unit.where for unit in bundle.units if unit.where}
    places = {unit.file: unit.where or processes.get(unit.process, "") for unit in bundle.units}
    ours = {item.name for item in bundle.files}
    for line in dict.fromkeys(lines):
        subject, colon, message = line.removeprefix(f"{folder}/").partition(":")
        number, second, rest = message.partition(":")
        in_file = bool(second) and number.isdecimal()
        name = subject if subject in ours else subject.replace("@i.", "@.")
        if not colon or name not in ours:
            continue
        text = (rest if in_file else message).strip()
        shown = f"{name}, line {number}" if in_file else name
        yield Diagnostic(
            span=_span(places.get(name, "")),
            message=f"{shown}: {text}",
            code="systemd-verify",
            hint="so says systemd of what the config becomes; nothing was changed",
        )


def _span(where: str) -> Span:
    """The place that `file:line` names."""
    match = _WHERE.fullmatch(where)
    if match is None:
        return Source(where or "<project>", "").whole()
    return Span(Source(match[1], ""), int(match[2]), 1)
