"""A config that is a program, run by the host's Node: what it exports, or why there is nothing."""

from __future__ import annotations

import json
import os
import re
import resource
import selectors
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.errors import Diagnostics, Source, Span

_HELPER = Path(__file__).with_name("evaluate.mjs")
_HEAP_MIB, _DATA_BYTES = 192, 288 << 20  # what a config may use
_RESULT_MAX = 16 * 1024 * 1024
_OUTPUT_MAX = 64 * 1024
# Two frames as V8 prints them: "at f (/a/b.js:3:9)" and "at file:///a/b.mjs:3:9"; a SyntaxError begins "/a/b.js:3".
_FRAME = re.compile(
    r"(?:^|^\s+at (?:.*\()?)(?:file://)?(?P<path>/[^\n()]*?):(?P<line>\d+)(?::(?P<column>\d+))?\)?$",
    re.MULTILINE,
)
_STRIPS_WHEN_ASKED = (((22, 6), (22, 18)), ((23, 0), (23, 6)))
_CARET = re.compile(r"^[^\n]*:\d+\n[^\n]*\n(?P<indent>[ \t]*)\^(?P<more>\^*)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What a config exports as plain data, and the files that it read by `require`."""

    value: object
    dropped: tuple[tuple[str, str], ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Program:
    """The config, and what runs it."""

    node: str
    path: Path
    source: Source
    environ: Mapping[str, str]

    @property
    def is_typescript(self) -> bool:
        """Whether Node has to take the types out of it."""
        return self.path.suffix in {".ts", ".mts", ".cts"}


@dataclass(slots=True)
class _Run:
    """What came out of one run of Node."""

    result: bytearray = field(default_factory=bytearray)
    output: bytearray = field(default_factory=bytearray)
    is_late: bool = False
    died_of: int = 0  # the signal


def evaluate(
    path: Path, source: Source, environ: Mapping[str, str], timeout_sec: float, problems: Diagnostics
) -> Evaluated | None:
    """What the config at `path` exports, evaluated in its folder; None after adding an error.

    It gets `timeout_sec` seconds and some memory; whatever it started is killed with it.
    """
    node = shutil.which("node", path=environ.get("PATH", os.defpath))
    if node is None:
        problems.error(
            source.whole(),
            "this config is a program, and there is no node on PATH to run it",
            code="pm2-no-node",
            hint="install Node.js; or, on a host that has it, save what the config exports as ecosystem.json: "
            f"node -p 'JSON.stringify(require(\"./{path.name}\"))'",
        )
        return None
    program = _Program(node, path.absolute(), source, environ)
    try:
        run = _run(program, timeout_sec)
    except OSError as error:
        message = f"{node} cannot be run: {error.strerror}"
        problems.error(source.whole(), message, code="pm2-no-node", hint="check the installation of Node.js")
        return None
    if run.died_of and not run.result:
        hint = f"a config gets {_HEAP_MIB} MiB of memory and is plain data: look for what grows in it"
        message = f"Node dies of this config: {signal.Signals(run.died_of).name}"
        problems.error(source.whole(), message, code="pm2-config-crash", hint=hint)
        return None
    _tell_output(run, source, problems)
    if run.is_late:
        hint = "a config must come to its end by itself: look for a server, a timer or a loop that it starts"
        message = f"the config still ran after {timeout_sec:g} s and was killed"
        problems.error(source.whole(), message, code="pm2-config-timeout", hint=hint)
        return None
    return _judged(run, program, problems)


def _flags(program: _Program) -> tuple[str, ...]:
    """What this Node has to be told for a config in TypeScript: there are some that strip types when asked."""
    if not program.is_typescript:
        return ()
    version = tuple(int(part) for part in re.findall(r"\d+", _told_by(program, "--version").stdout))
    is_asked = any(first <= version < last for first, last in _STRIPS_WHEN_ASKED)
    return ("--enable-source-maps", *(("--experimental-strip-types",) if is_asked else ()))


def _run(program: _Program, timeout_sec: float) -> _Run:
    run = _Run()
    folder = program.path.parent
    result_end, told_end = os.pipe()
    try:
        process = subprocess.Popen(
            [
                program.node,
                f"--max-old-space-size={_HEAP_MIB}",
                *_flags(program),
                str(_HELPER),
                str(program.path),
                str(told_end),
            ],
            cwd=folder,
            env={**program.environ, "PWD": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(told_end,),
            start_new_session=True,
        )
    except BaseException:
        os.close(result_end)
        raise
    finally:
        os.close(told_end)
    with suppress(ProcessLookupError):  # it has ended already
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (_DATA_BYTES, _DATA_BYTES))
    try:
        _collect(run, process, result_end, time.monotonic() + timeout_sec)
    finally:
        _kill(process)
        os.close(result_end)
    return run


def _collect(run: _Run, process: subprocess.Popen[bytes], result_end: int, deadline: float) -> None:
    """Read both pipes until the result is told and Node has ended, or until the deadline.

    A child of the config may hold the output open for ever: that nobody waits for.
    """
    output_end = process.stdout.fileno() if process.stdout else -1
    with selectors.DefaultSelector() as selector:
        selector.register(result_end, selectors.EVENT_READ, (run.result, _RESULT_MAX))
        selector.register(output_end, selectors.EVENT_READ, (run.output, _OUTPUT_MAX))
        is_told = False
        while not is_told:
            left = deadline - time.monotonic()
            if left <= 0:
                run.is_late = True
                return
            is_told = _read(selector, left, result_end)
        try:
            run.died_of = max(-process.wait(max(deadline - time.monotonic(), 0.1)), 0)
        except subprocess.TimeoutExpired:
            run.is_late = not run.result
        while _read(selector, 0, -1, output_end=output_end):
            pass


def _read(
    selector: selectors.BaseSelector, timeout: float, result_end: int, *, output_end: int = -1
) -> bool:
    """Read once what there is. Whether the result has come to its end, or else the output had more to read."""
    is_told = False
    for key, _ in selector.select(timeout):
        data = os.read(key.fd, 65536)
        buffer, maximum = cast("tuple[bytearray, int]", key.data)
        buffer += data[: max(maximum - len(buffer), 0)]
        if not data:
            selector.unregister(key.fd)
            is_told = is_told or key.fd == result_end
        elif key.fd == output_end:
            is_told = len(buffer) < maximum
    return is_told


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End Node, its process group and the children that left the group."""
    escaped = []
    if process.poll() is None:
        import psutil  # noqa: PLC0415 - on the unhappy path only

        try:
            escaped = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            escaped = []  # it ended just now: its group is still killed below
    with suppress(ProcessLookupError):  # nothing may be left of the group
        os.killpg(process.pid, signal.SIGKILL)
    for child in escaped:
        if child.is_running():
            child.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def _tell_output(run: _Run, source: Source, problems: Diagnostics) -> None:
    text = run.output.decode("utf-8", "replace").strip()
    if text:
        lines = text.splitlines()
        shown = "; ".join(line.strip() for line in lines[:3] if line.strip())[:300]
        more = f" (and {len(lines) - 3} more lines)" if len(lines) > 3 else ""
        message = f"the config printed: {shown}{more}"
        problems.note(source.whole(), message, code="pm2-config-output", hint="it does no harm here")


def _judged(run: _Run, program: _Program, problems: Diagnostics) -> Evaluated | None:
    source = program.source
    try:
        told = json.loads(run.result)
    except ValueError:
        reason = "exports too much" if len(run.result) >= _RESULT_MAX else "ended Node before it was read"
        hint = "a config exports a few kilobytes of plain data"
        problems.error(source.whole(), f"the config {reason}", code="pm2-config-failed", hint=hint)
        return None
    match told["kind"]:
        case "value" if told["type"] == "data":
            dropped = tuple((path, kind) for path, kind in told["dropped"])
            return Evaluated(value=told.get("value"), dropped=dropped, files=tuple(told["files"]))
        case "value":
            hint = "export the object itself: module.exports = { apps: [...] }"
            message = f"the config exports a {told['type']}, which PM2 does not call or wait for"
            problems.error(source.whole(), message, code="pm2-config-export", hint=hint)
        case "exit":
            hint = "a config must not end Node: take the call out"
            message = f"the config calls process.exit({told['code']})"
            problems.error(_exit_place(source), message, code="pm2-config-exit", hint=hint)
        case "unsettled":
            hint = "an await at the top level waits for something that never comes"
            problems.error(source.whole(), "the config never settles", code="pm2-config-timeout", hint=hint)
        case "unprintable":
            hint = "a config is plain data: lists, objects, strings, numbers"
            problems.error(source.whole(), told["message"], code="pm2-config-export", hint=hint)
        case _:
            _tell_error(told, program, problems)
    return None


def _exit_place(source: Source) -> Span:
    from pm_native.errors import Span  # noqa: PLC0415 - on the unhappy path only

    for number, line in enumerate(source.text.split("\n"), 1):
        column = line.find("process.exit")
        if column >= 0:
            return Span(source, number, column + 1, column + 1 + len("process.exit"))
    return source.whole()


def _told_by(program: _Program, *words: str) -> subprocess.CompletedProcess[str]:
    """What Node itself says to these words; nothing where it cannot be run."""
    try:
        return subprocess.run(
            [program.node, *words],
            capture_output=True,
            check=False,
            env=program.environ,
            timeout=10,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return subprocess.CompletedProcess(words, 1, "", "")


def _checked(program: _Program) -> str:
    """What `node --check` says: unlike the error of an ES module, that has a place. "" where it says nothing."""
    return "" if program.is_typescript else _told_by(program, "--check", str(program.path)).stderr


def _tell_error(told: dict[str, str], program: _Program, problems: Diagnostics) -> None:
    message = told["message"].split("\n")[0]
    if told["name"] not in {"Error", "string"}:
        message = f"{told['name']}: {message}"
    trace = told["stack"]
    if told["name"] == "SyntaxError" and not _CARET.match(trace):
        trace = _checked(program) or trace
    place, elsewhere = _error_place(trace, program)
    hint = "PM2 could not read it either: fix the config, or set what it needs in the environment"
    if told["code"] in {"MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND"}:
        hint = f"install what the config needs: npm install in {program.path.parent}"
    elif told["code"] == "ERR_UNKNOWN_FILE_EXTENSION" and program.is_typescript:
        place, message = program.source.whole(), "this Node reads no TypeScript"
        hint = "Node does from 22.18 on, and older ones with the compiler: npm install --save-dev typescript@5; or compile "
        hint += f"it: npx tsc --module commonjs {program.path.name}, and give the .js"
    elif told["code"] == "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX":
        hint = "Node takes types out and no more: write it without, or npm install --save-dev typescript@5"
    elif "in ES module scope" in told["message"]:
        hint = "this file is an ES module: write export default, or rename it to .cjs"
    problems.error(place, f"the config fails: {message}{elsewhere}", code="pm2-config-failed", hint=hint)


def _error_place(trace: str, program: _Program) -> tuple[Span, str]:
    """The place of an error in the config itself, and where else it was thrown."""
    from urllib.parse import unquote  # noqa: PLC0415 - on the unhappy path only

    from pm_native.errors import Span  # noqa: PLC0415 - on the unhappy path only

    own = {str(program.path), str(program.path.resolve())}
    elsewhere = ""
    for frame in _FRAME.finditer(trace):
        file = frame["path"] if frame["path"] in own else unquote(frame["path"])
        if file in own:
            line, column, width = int(frame["line"]), int(frame["column"] or 1), 1
            caret = _CARET.match(trace)
            if not frame["column"] and caret:
                column, width = len(caret["indent"]) + 1, len(caret["more"]) + 1
            return Span(program.source, line, column, column + width), elsewhere
        if not elsewhere and "/node_modules/" not in file and file != str(_HELPER):
            elsewhere = f" (in {file}:{frame['line']})"
    return program.source.whole(), elsewhere
