"""What is loaded into a program before its own code, by a variable of its interpreter: it takes the shared listener unchanged."""

from __future__ import annotations

import posixpath
import re
from enum import StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.options import CompileOptions
    from pm_native.model.project import Process

# Node sets the queue of a socket anew when it takes it; the kernel's own bound is what stays of this.
DEFAULT_BACKLOG = 4096
WORDS_VARIABLE = "PM_NATIVE_LISTEN"
_TIMER_MAX = 2**31 - 1  # of Node's timers, in milliseconds
_NODE_SUFFIXES = (".js", ".cjs", ".mjs")
_PYTHON = re.compile(r"python(\d+(\.\d+)?)?")
# Servers of Python and what runs them, by the names of their scripts and modules.
_UVICORN = frozenset({"uvicorn", "fastapi"})
_PYTHON_SCRIPTS = _UVICORN | {"gunicorn"}


class Preload(StrEnum):
    """The variable that has an interpreter load a file before a program."""

    NODE = "NODE_OPTIONS"
    PYTHON = "PYTHONPATH"


def preload_of(process: Process) -> Preload | None:
    """What can be loaded into the program, by its name; nothing where it shares no listener."""
    if not (process.listen.share and process.command):
        return None
    if is_node(process):
        return Preload.NODE
    is_known = _python_server(process) in _PYTHON_SCRIPTS and not _is_isolated(process.command[1:])
    return Preload.PYTHON if is_known else None


def is_node(process: Process) -> bool:
    """Whether the program is Node, by its name: then what listens in it can be told of the shared listener."""
    program = process.command[0] if process.command else ""
    name = posixpath.basename(program)
    return name in {"node", "nodejs"} or name.endswith(_NODE_SUFFIXES) or "node_modules/.bin/" in program


def says_that_it_listens(process: Process) -> bool:
    """Whether what is loaded is sure to meet a server that it knows, and can tell when that listens."""
    preload = preload_of(process)
    return preload is Preload.NODE or (preload is Preload.PYTHON and _python_server(process) in _UVICORN)


def accepts_in_a_loop(process: Process) -> bool:
    """Whether the program is known to accept only what is there, and to do other things meanwhile.

    Whether accept() waits is a property of the one socket that all instances have, and systemd sets it anew with each
    start of any: without NonBlocking= to waiting, which an event loop never recovers from.
    """
    name = posixpath.basename(process.command[0]) if process.command else ""
    return is_node(process) or name == "nginx" or _python_server(process) in _PYTHON_SCRIPTS


def runs_python_script(process: Process) -> bool:
    """Whether Python runs a file, whose name does not tell whether it is a server that is known."""
    words = _python_words(process)
    return bool(words) and not words[0].startswith("-")


def _python_server(process: Process) -> str:
    """The name of the script, or of the module that Python runs: `uvicorn`."""
    match _python_words(process):
        case ["-m", module, *_]:
            return module
        case _:
            return posixpath.basename(process.command[0]) if process.command else ""


def _python_words(process: Process) -> list[str]:
    """What Python is told to run: `-m` and a module, `-c` and a text, or a file; nothing where the program is another."""
    name, *words = process.command or ("",)
    if _PYTHON.fullmatch(posixpath.basename(name)) is None:
        return []
    while words and words[0].startswith("-") and words[0] not in {"-m", "-c", "-"}:
        words.pop(0)
    return words


def preload_path(preload: Preload, options: CompileOptions) -> str:
    """The file that is loaded."""
    return f"{options.runtime}/{'node.cjs' if preload is Preload.NODE else 'python/sitecustomize.py'}"


def preload_variables(process: Process, options: CompileOptions) -> dict[str, str]:
    """The variables by which the program loads what takes the shared listener and drains on the stop signal."""
    preload = preload_of(process)
    if preload is None:
        return {}
    own = process.environment.get(preload) or process.file_environment.get(preload)
    text = own.value if own is not None else ""
    path = preload_path(preload, options)
    if preload is Preload.NODE:
        quoted = f'"{path}"' if " " in path else path
        loading = f"--require {quoted}" + (f" {text}" if text else "")
    else:
        loading = posixpath.dirname(path) + (f":{text}" if text else "")
    # Before systemd would kill it: what still runs then is cut.
    drain_msec = process.stop.timeout_usec * 9 // 10_000
    backlog = process.listen.backlog or DEFAULT_BACKLOG
    words = f"stop={process.stop.signal} timeout={min(drain_msec, _TIMER_MAX)} backlog={backlog}"
    return {preload: loading, WORDS_VARIABLE: words}


def preload_names(process: Process) -> set[str]:
    """The names of those variables."""
    preload = preload_of(process)
    return set() if preload is None else {preload, WORDS_VARIABLE}


def _is_isolated(words: tuple[str, ...]) -> bool:
    """Whether Python's options keep it from loading anything beside the program."""
    for word in words:
        if not word.startswith("-") or word in {"-m", "-c", "-"}:
            return False
        if not word.startswith("--") and set(word) & set("IES"):
            return True
    return False
