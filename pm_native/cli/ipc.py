"""`pm-native ipc`: the messages of a project from the shell."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import click

from pm_native.cli.complete import complete_peers, complete_projects
from pm_native.cli.options import with_json
from pm_native.cli.report import Result, finish, presentation
from pm_native.cli.target import scope_of, with_manager
from pm_native.errors import AccessError, PmNativeError, UnavailableError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pm_native.runtime.ipc.client import Client
    from pm_native.runtime.ipc.reader import Message

_VARIABLE = "PM_NATIVE_IPC"


class MessageError(PmNativeError):
    """A message came to nothing; the text begins with the protocol's word for why."""


@click.group(
    epilog="""\b
Examples:
  sudo pm-native ipc call worker '{"resize": 7}'
  sudo pm-native ipc call 'worker@*' --method stats     ask all instances
  sudo pm-native ipc pub cache.invalidate '"user:7"'
  sudo pm-native ipc sub 'progress.**'                  watch, until Ctrl-C
  sudo pm-native ipc monitor                            every message as it passes

\b
The same without pm-native, with socat:
  printf '{"op":"peers","id":1}\\n' | socat -t1 - UNIX:/run/pm-native/ipc/shop.sock"""
)
def ipc() -> None:
    """Send and watch the messages of a project.

    For projects with `ipc = true`. Root may do everything; so may the users of the project from their own shells,
    unless its rules say otherwise. A message is JSON: a number, a "string" with its quotes, an object; "-" reads it from
    standard input.
    """


def with_socket(function: Callable[..., int]) -> Callable[..., int]:
    """`--project`, `--socket` and `--user`; the command gets the path as `path`."""

    @wraps(function)  # carries the options that were declared below, too
    def collect(*args: object, project: str | None, socket: Path | None, user: bool, **rest: object) -> int:
        return function(*args, path=str(socket or _socket_path(project, user=user)), **rest)

    named = click.option(
        "-p",
        "--project",
        shell_complete=complete_projects,
        help="The project, where there are several.",
    )
    given = click.option("--socket", type=click.Path(path_type=Path), help="The path of the socket itself.")
    return named(given(with_manager(collect)))


def _socket_path(project: str | None, *, user: bool) -> Path:
    """The socket of the project; of the only one, or of this program's own, where none is named."""
    if project is None and (own := os.environ.get(_VARIABLE)):
        return Path(own)
    from pm_native.cli.options import layout_of  # noqa: PLC0415 - not for --help

    folder = layout_of(scope_of(user), None).runtime / "pm-native/ipc"
    if project is not None:
        return folder / f"{project}.sock"
    found = sorted(folder.glob("*.sock"))
    if not found:
        hint = "`ipc = true` in [project] makes one; --user looks among your own projects"
        raise UnavailableError(f"no project has a socket for messages in {folder}", hint=hint)
    if len(found) > 1:
        names = ", ".join(path.stem for path in found)
        raise UsageError(f"several projects have messages: {names}", hint="name one: --project NAME")
    return found[0]


@contextmanager
def _connected(path: str) -> Iterator[Client]:
    """A client, with the errors of the protocol as those of the command line."""
    from pm_native.runtime.ipc.client import Client  # noqa: PLC0415 - not for --help
    from pm_native.runtime.ipc.errors import AccessDenied, IpcError  # noqa: PLC0415 - not for --help

    try:
        with Client(path, connect_timeout=5.0) as client:
            yield client
    except AccessDenied as error:
        raise AccessError(str(error), hint="root may, and who the rules of the project name") from error
    except IpcError as error:
        raise MessageError(str(error)) from error
    except BrokenPipeError:
        raise  # of stdout: whoever read it has seen enough
    except PermissionError as error:
        raise AccessError(f"{path}: {error.strerror}") from error
    except OSError as error:
        hint = "is the project applied, with `ipc = true`? systemctl status 'pm-native-ipc@*.socket'"
        raise UnavailableError(f"cannot connect to {path}: {error.strerror}", hint=hint) from error


def _body(text: str | None, *, is_text: bool) -> object:
    """The message that the command line gives."""
    if text == "-":
        text = sys.stdin.read()
    if text is None:
        return None
    if is_text:
        return text.removesuffix("\n")
    try:
        return json.loads(text)
    except ValueError as error:
        hint = f"a string needs its quotes, '\"{text[:20]}\"', or the option --text"
        raise UsageError(f"the message is not JSON: {error}", hint=hint) from error


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


_TEXT = click.option("--text", "is_text", is_flag=True, help="Take the message as a string, not as JSON.")


@ipc.command(
    epilog="""\b
Examples:
  pm-native ipc call worker '{"id": 7}' --method resize
  pm-native ipc call worker@2 --timeout 5
  pm-native ipc call 'worker@*'            one line for each instance"""
)
@click.argument("target", shell_complete=complete_peers)
@click.argument("message", required=False)
@click.option("-m", "--method", default="", help="The method to call.")
@click.option("--timeout", default=30.0, metavar="SECONDS", help="How long to wait for the answer (30).")
@_TEXT
@with_json
@with_socket
def call(  # noqa: PLR0913 - one per option
    *, target: str, message: str | None, method: str, timeout: float, is_text: bool, path: str
) -> int:
    """Call a process and print its answer, as JSON."""
    body = _body(message, is_text=is_text)
    with _connected(path) as client:
        if not target.endswith("@*"):
            answer = client.call(target, body, method=method, timeout=timeout)
            return finish(Result(command="ipc call", text=_json(answer), data=answer))
        answers = client.gather(target.removesuffix("@*"), body, method=method, timeout=timeout)
    rows = [_answer(sender, answer) for sender, answer in answers]
    rows.sort(key=lambda row: (len(_name(row)), _name(row)))
    lines = [f"{_name(row)}: {row['error'] or _json(row['body'])}" for row in rows]
    failed = sum(1 for row in rows if row["error"])
    error = MessageError(f"{failed} of {len(rows)} did not answer") if failed else None
    return finish(
        Result(
            command="ipc call",
            text="\n".join(lines),
            data=rows,
            error=error,
            exit_code=MessageError.exit_code,
        )
        if error
        else Result(command="ipc call", text="\n".join(lines), data=rows)
    )


def _answer(sender: Mapping[str, object], answer: object) -> dict[str, object]:
    is_error = isinstance(answer, Exception)
    return {
        "from": dict(sender),
        "body": None if is_error else answer,
        "error": str(answer) if is_error else "",
    }


def _name(row: Mapping[str, object]) -> str:
    sender = row.get("from")
    facts = sender if isinstance(sender, dict) else {}
    instance = f"@{facts['instance']}" if facts.get("instance") else ""
    return f"{facts['process']}{instance}" if facts.get("process") else str(facts.get("unit") or "broker")


@ipc.command()
@click.argument("target", shell_complete=complete_peers)
@click.argument("message", required=False)
@click.option("-m", "--method", default="", help="The method to call.")
@_TEXT
@with_json
@with_socket
def send(*, target: str, message: str | None, method: str, is_text: bool, path: str) -> int:
    """Send a message to a process, or to all of a pool (`worker@*`), and wait for no answer."""
    body = _body(message, is_text=is_text)
    with _connected(path) as client:
        count = client.send(target, body, method=method)
    return finish(Result(command="ipc send", text=f"sent to {count}", data={"count": count}))


@ipc.command()
@click.argument("topic")
@click.argument("message", required=False)
@_TEXT
@with_json
@with_socket
def pub(*, topic: str, message: str | None, is_text: bool, path: str) -> int:
    """Publish a message on a topic."""
    body = _body(message, is_text=is_text)
    with _connected(path) as client:
        count = client.publish(topic, body, confirm=True)
    return finish(Result(command="ipc pub", text=f"published to {count}", data={"count": count}))


@ipc.command(
    epilog="""\b
In a pattern, "*" stands for any one word, and "**" at the end for one or more: 'cache.*', 'progress.**'.
$peer.joined and $peer.left tell who comes and goes; no pattern that begins with "*" matches them."""
)
@click.argument("patterns", nargs=-1, required=True, metavar="PATTERN...")
@click.option("-n", "--count", type=click.IntRange(1), help="End after so many messages.")
@click.option("--timeout", type=float, metavar="SECONDS", help="End when nothing came for so long.")
@with_json
@with_socket
def sub(*, patterns: tuple[str, ...], count: int | None, timeout: float | None, path: str) -> int:
    """Print what is published on topics, as it comes: topic and message, or with --json one object a line."""
    seen = 0
    with _connected(path) as client:
        for pattern in patterns:
            client.subscribe(pattern)
        click.echo(f"subscribed to {', '.join(patterns)}", err=True)
        for message in client.messages(timeout):
            click.echo(_line(message))
            seen += 1
            if seen == count:
                break
        if client.missed:
            click.echo(f"{client.missed} messages were dropped: this did not read fast enough", err=True)
    return 0


def _line(message: Message) -> str:
    if presentation().as_json:
        return _json({"topic": message.topic, "from": dict(message.sender), "body": message.body})
    return f"{message.topic} {_json(message.body)}"


@ipc.command()
@with_json
@with_socket
def peers(*, path: str) -> int:
    """Show who is connected, and what the broker has carried."""
    with _connected(path) as client:
        found = client.peers()
    data = found if isinstance(found, dict) else {}
    rows = [("NAME", "PID", "UID", "SERVES", "TOPICS", "QUEUED", "UNIT")]
    rows += [
        (
            str(item["name"] or "-"),
            str(item["pid"]),
            str(item["uid"]),
            "yes" if item["serves"] else "-",
            str(item["subscriptions"]),
            str(item["queued"]),
            str(item["unit"] or "-"),
        )
        for item in data["peers"]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    figures = "  ".join(f"{name} {value}" for name, value in data["broker"].items() if value)
    return finish(
        Result(command="ipc peers", text="\n".join([*lines, *([figures] if figures else [])]), data=data)
    )


@ipc.command()
@click.option("-n", "--count", type=click.IntRange(1), help="End after so many messages.")
@with_json
@with_socket
def monitor(*, count: int | None, path: str) -> int:
    """Print every message of the project as it passes: kind, from whom, to whom, and what."""
    seen = 0
    with _connected(path) as client:
        items = client.watch()
        click.echo("watching all messages", err=True)
        for item in items:
            if presentation().as_json:
                shown = {key: value for key, value in item.items() if key != "op"}
                click.echo(_json(shown))
            else:
                click.echo(f"{item['kind']:5} {_name(item)} -> {item['to'] or '-'} {_json(item['body'])}")
            seen += 1
            if seen == count:
                break
    return 0


@ipc.command(
    epilog="""\b
Example:
  pm-native ipc client >pm-native-ipc.cjs
  const ipc = require("./pm-native-ipc.cjs");"""
)
def client() -> int:
    """Print the client for Node: one file without dependencies, to keep beside your program."""
    import pm_native.runtime.ipc  # noqa: PLC0415 - not for --help

    text = Path(pm_native.runtime.ipc.__file__).with_name("client.cjs").read_text(encoding="utf-8")
    click.echo(text, nl=False)
    return 0
