"""A tree of nodes to the model, by the key table: the project, what its processes share, and each of them."""

from __future__ import annotations

from pathlib import PurePosixPath

from pm_native.config.decoder import TableDecoder, table_of
from pm_native.config.keys import CONFIG, IPC_RULE
from pm_native.config.package import PackageDecoder
from pm_native.config.process import Common, decode_process, environment_files
from pm_native.config.types import wrong_type
from pm_native.errors import NOWHERE
from pm_native.model.health import Monitor
from pm_native.model.names import is_name
from pm_native.model.project import Ipc, IpcRule, Project
from pm_native.syntax.node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.config.decoder import Values
    from pm_native.config.process import ReadEnvironmentFiles
    from pm_native.errors import Diagnostics


def decode_project(
    root: Node, source_path: str, problems: Diagnostics, read_environment_files: ReadEnvironmentFiles
) -> Project:
    """The project in the config tree `root`; problems are added, and stand-ins take their place."""
    decoder = TableDecoder(problems)
    top = decoder.decode(root, CONFIG) if isinstance(root.value, dict) else {}
    if not isinstance(root.value, dict):
        wrong_type(root, "tables [project] and [process.NAME]", problems)
    shared = top.get("project", {})
    if not isinstance(shared, dict):
        raise TypeError("a decoded table is a dict")
    base = PurePosixPath(source_path).parent
    directory = base / str(shared.get("directory", ""))
    files = environment_files(shared, decoder.origins.get("project.environment_files"), directory)
    common = Common(
        directory=directory,
        values=shared,
        origins={path.removeprefix("project."): span for path, span in decoder.origins.items()},
        file_environment=read_environment_files(files),
        read=read_environment_files,
    )
    processes = top.get("process")
    entries = decoder.entries(processes, "tables [process.NAME]") if isinstance(processes, Node) else {}
    if not entries and not problems.has_errors:
        hint = 'add one: [process.web] with command = "..."'
        problems.error(root.span.source.whole(), "there is no process", code="no-process", hint=hint)
    packaged = top.get("package")
    package_node = (
        root.value["package"] if isinstance(packaged, dict) and isinstance(root.value, dict) else root
    )
    return Project(
        name=_project_name(shared, base.name, root, problems),
        source_path=source_path,
        directory=directory,
        monitor=Monitor(shared.get("monitor", Monitor.INSTANCE)),
        monitor_span=decoder.origins.get("project.monitor", NOWHERE),
        ipc=_ipc(shared, decoder),
        processes=tuple(decode_process(name, node, common, problems) for name, node in entries.items()),
        package=PackageDecoder(decoder, base).decode(
            packaged if isinstance(packaged, dict) else {}, package_node
        ),
        span=root.span,
    )


def _project_name(shared: Values, folder: str, root: Node, problems: Diagnostics) -> str:
    name = str(shared.get("name", folder))
    if "name" not in shared and not is_name(name):
        hint = 'name it: [project] with name = "..."'
        message = f"the folder's name cannot be the project's: {folder!r}"
        problems.error(root.span.source.whole(), message, code="bad-name", hint=hint)
    return name


def _ipc(shared: Values, decoder: TableDecoder) -> Ipc | None:
    values = table_of(shared, "ipc")
    if "ipc" not in shared or not values.get("enabled", True):
        return None
    access = values.get("access")
    rules: list[IpcRule] = []
    for who, node in decoder.entries(access, "a table of rules").items() if isinstance(access, Node) else ():
        rights = decoder.decode(node, IPC_RULE, f"project.ipc.access.{who}")
        rules.append(IpcRule(who=who, span=node.key, **rights))  # type: ignore[arg-type]  # as in decode_process
    return Ipc(rules=tuple(rules), span=decoder.origins["project.ipc"])
