"""PM2 configs that are programs, run by the host's Node: what goes wrong, and that it is told with a place."""

from __future__ import annotations

import os
import select
import time
from typing import cast

import pytest

from pm_native.errors import Diagnostics
from pm_native.importers.base import ImportOptions
from pm_native.importers.pm2 import IMPORTER, Pm2Importer
from tests.importers.helpers import needs_node, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.importers.helpers import Read

WAY_OUT = "PM2 could not read it either: fix the config, or set what it needs in the environment"
ENDS = "a config must come to its end by itself: look for a server, a timer or a loop that it starts"
PLAIN = "a config is plain data: lists, objects, strings, numbers"
EXPORT = "export the object itself: module.exports = { apps: [...] }"
FAILURES = {
    "throws.config.cjs": (
        "const a = 1;\nfunction url() {\n  throw new TypeError('no DB_URL\\nat all');\n}\nurl();\n",
        [
            f"throws.config.cjs:3:9: error: the config fails: TypeError: no DB_URL [pm2-config-failed]\n    {WAY_OUT}"
        ],
    ),
    "throws text.config.cjs": (
        "throw 'text';\n",
        [f"throws text.config.cjs: error: the config fails: text [pm2-config-failed]\n    {WAY_OUT}"],
    ),
    "syntax.config.cjs": (
        'module.exports = {\n  apps: [{ name: "a" script: "b" }]\n}\n',
        [
            (
                "syntax.config.cjs:2:22: error: the config fails: SyntaxError: Unexpected identifier 'script' "
                f"[pm2-config-failed]\n    {WAY_OUT}"
            )
        ],
    ),
    "syntax.config.mjs": (
        'export const apps = [\n  { name: "a" script: "b" }];\n',
        [
            (
                "syntax.config.mjs:2:15: error: the config fails: SyntaxError: Unexpected identifier 'script' "
                f"[pm2-config-failed]\n    {WAY_OUT}"
            )
        ],
    ),
    "module.config.cjs": (
        "require('dotenv').config();\n",
        [
            (
                "module.config.cjs:1:1: error: the config fails: Cannot find module 'dotenv' [pm2-config-failed]\n"
                "    install what the config needs: npm install in $DIR"
            )
        ],
    ),
    "commonjs.config.mjs": (
        "module.exports = {};\n",
        [
            (
                "commonjs.config.mjs:1:1: error: the config fails: ReferenceError: module is not defined in ES module "
                "scope [pm2-config-failed]\n    this file is an ES module: write export default, or rename it to .cjs"
            )
        ],
    ),
    "exits.config.cjs": (
        "if (!process.env.STAGE)\n  process.exit(3);\n",
        [
            (
                "exits.config.cjs:2:3: error: the config calls process.exit(3) [pm2-config-exit]\n"
                "    a config must not end Node: take the call out"
            )
        ],
    ),
    "never.config.mjs": (
        "await new Promise(() => {});\n",
        [
            (
                "never.config.mjs: error: the config never settles [pm2-config-timeout]\n"
                "    an await at the top level waits for something that never comes"
            )
        ],
    ),
    "circle.config.cjs": (
        "const a = { name: 'x' };\na.self = [a];\nmodule.exports = { apps: [a] };\n",
        [f"circle.config.cjs: error: apps[0].self[0] contains itself [pm2-config-export]\n    {PLAIN}"],
    ),
    "function.config.cjs": (
        "module.exports = () => ({ apps: [] });\n",
        [
            (
                "function.config.cjs: error: the config exports a function, which PM2 does not call or wait for "
                f"[pm2-config-export]\n    {EXPORT}"
            )
        ],
    ),
    "promise.config.cjs": (
        "module.exports = Promise.resolve({ apps: [] });\n",
        [
            (
                "promise.config.cjs: error: the config exports a promise, which PM2 does not call or wait for "
                f"[pm2-config-export]\n    {EXPORT}"
            )
        ],
    ),
    "nothing.config.cjs": (
        "const apps = [];\n",
        [
            (
                "nothing.config.cjs: error: the config has no apps [pm2-no-apps]\n    { apps: [{ name: 'web', "
                "script: './server.js' }] }; a JavaScript config needs module.exports ="
            )
        ],
    ),
}


def has_ended(pid: int) -> bool:
    """Whether a process ends within 5 s: a kill takes its moment."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 5)[0])
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("name", FAILURES)
def test_what_a_config_does_wrong_is_told_with_its_place(name: str, tmp_path: Path, read: Read) -> None:
    needs_node()
    text, expected = FAILURES[name]
    (tmp_path / name).write_text(text)
    _, problems = read(IMPORTER, tmp_path / name)
    assert [line.replace(str(tmp_path), "$DIR") for line in told(problems)] == expected


@pytest.mark.parametrize("text", ["for (;;);", "setTimeout(() => {}, 60000); await new Promise(() => {});"])
def test_config_that_does_not_end_is_killed(text: str, tmp_path: Path, read: Read) -> None:
    needs_node()
    path = tmp_path / "ecosystem.config.mjs"
    path.write_text(text)
    project, problems = read(Pm2Importer(timeout_sec=0.5), path)
    assert project is None
    assert told(problems) == [
        (
            "ecosystem.config.mjs: error: the config still ran after 0.5 s and was killed [pm2-config-timeout]\n"
            f"    {ENDS}"
        )
    ]


@pytest.mark.parametrize("grown", ["{ a }", "Buffer.alloc(1 << 24, 1)"])
def test_memory_of_a_config_is_bounded(grown: str, tmp_path: Path, read: Read) -> None:
    needs_node()
    path = tmp_path / "ecosystem.config.cjs"
    path.write_text(f"const a = []; for (;;) a.push({grown});")
    project, problems = read(Pm2Importer(timeout_sec=60), path)
    assert project is None
    (error,) = problems
    # Which of its memories ends first, and whether Node throws or dies of it, is Node's own affair.
    if error.code == "pm2-config-crash":
        assert error.message.startswith("Node dies of this config: SIG")
    else:
        assert error.message == "the config fails: RangeError: Array buffer allocation failed"


@pytest.mark.parametrize("is_detached", ["true", "false"])
def test_children_of_a_config_that_is_killed_die_with_it(
    is_detached: str, tmp_path: Path, read: Read
) -> None:
    needs_node()
    path = tmp_path / "ecosystem.config.cjs"
    path.write_text(
        f"const options = {{ detached: {is_detached}, stdio: 'inherit' }};\n"
        "const child = require('child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'], options);\n"
        "require('fs').writeFileSync('child.pid', String(child.pid));\n"
        "for (;;);\n"
    )
    read(Pm2Importer(timeout_sec=1), path)
    pid = int((tmp_path / "child.pid").read_text())
    assert has_ended(pid)


def test_config_that_leaves_work_behind_is_not_waited_for(tmp_path: Path, read: Read) -> None:
    needs_node()
    path = tmp_path / "ecosystem.config.cjs"
    path.write_text(
        "setInterval(() => {}, 1e6);\n"
        "require('child_process').spawn('sleep', ['1000'], { stdio: 'inherit' });\n"
        "module.exports = { apps: [{ name: 'api', script: 'npm' }] };\n"
    )
    begin = time.monotonic()
    project, _ = read(Pm2Importer(timeout_sec=100), path)
    assert project is not None
    assert time.monotonic() - begin < 90


def test_what_a_config_prints_does_no_harm_and_is_shown(tmp_path: Path, read: Read) -> None:
    needs_node()
    path = tmp_path / "ecosystem.config.cjs"
    path.write_text(
        "console.log('{\"apps\": []}');\nconsole.error('second');\nconsole.log('x'.repeat(1e6));\n"
        "module.exports = { apps: [{ name: 'api', script: 'npm' }] };\n"
    )
    project, problems = read(IMPORTER, path)
    assert project is not None
    assert [process.name for process in project.processes] == ["api"]
    assert told(problems)[0].startswith(
        'ecosystem.config.cjs: note: the config printed: {"apps": []}; second; xxx'
    )


def test_config_runs_in_its_folder_with_the_environment_of_the_caller(tmp_path: Path, read: Read) -> None:
    needs_node()
    path = tmp_path / "ecosystem.config.cjs"
    path.write_text(
        "module.exports = [{ name: process.env.STAGE, script: 'npm', args: [process.cwd(), __dirname] }];\n"
    )
    project, _ = read(IMPORTER, path, {"STAGE": "live"})
    assert project is not None
    assert [(process.name, process.command[1:]) for process in project.processes] == [
        ("live", (str(tmp_path), str(tmp_path)))
    ]


def test_required_files_are_sources_too(tmp_path: Path, read: Read) -> None:
    needs_node()
    (tmp_path / "package.json").write_text('{"name": "shop"}')
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "lib.js").write_text("module.exports = 1;")
    path = tmp_path / "ecosystem.config.js"
    path.write_text(
        "require('lib');\nmodule.exports = { name: require('./package.json').name, script: 'npm' };\n"
    )
    project, _ = read(IMPORTER, path)
    assert project is not None
    assert [source.path for source in project.sources] == [str(path), str(tmp_path / "package.json")]


def test_error_in_a_required_file_names_that_file(tmp_path: Path, read: Read) -> None:
    needs_node()
    (tmp_path / "settings.cjs").write_text("\nthrow new Error('no settings');\n")
    path = tmp_path / "ecosystem.config.cjs"
    path.write_text("const settings = require('./settings.cjs');\n")
    _, problems = read(IMPORTER, path)
    assert told(problems) == [
        (
            f"ecosystem.config.cjs:1:18: error: the config fails: no settings (in {tmp_path}/settings.cjs:2) "
            f"[pm2-config-failed]\n    {WAY_OUT}"
        )
    ]


def test_values_that_no_text_can_hold(tmp_path: Path, read: Read) -> None:
    needs_node()
    path = tmp_path / "ecosystem.config.cjs"
    path.write_text(
        "module.exports = { apps: [{ name: 'api', script: 'npm', max_restarts: Infinity, env: {\n"
        "  WHEN: new Date(0), BIG: 12345678901234567890n, NAN: NaN, HALF: '\\ud800!', PATTERN: /a+/i, NONE: undefined, S: Symbol('s') } }] };\n"
    )
    project, _ = read(IMPORTER, path)
    assert project is not None
    process = project.processes[0]
    assert process.restart.limit is None
    assert {name: variable.value for name, variable in process.environment.items()} == {
        "WHEN": "1970-01-01T00:00:00.000Z",
        "BIG": "12345678901234567890",
        "NAN": "NaN",
        "HALF": "\ufffd!",
        "PATTERN": "/a+/i",
        "NODE_APP_INSTANCE": "0",
    }


def test_without_node_there_is_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "ecosystem.config.js"
    path.write_text("module.exports = { apps: [] };\n")
    problems = Diagnostics()
    options = ImportOptions(environ=cast("Mapping[str, str]", {"PATH": str(tmp_path)}))
    assert IMPORTER.load(path, path.name, options, problems) is None
    assert told(problems) == [
        (
            "ecosystem.config.js: error: this config is a program, and there is no node on PATH to run it [pm2-no-node]\n"
            "    install Node.js; or, on a host that has it, save what the config exports as ecosystem.json: "
            "node -p 'JSON.stringify(require(\"./ecosystem.config.js\"))'"
        )
    ]


TYPED = """\
import type { StartOptions } from "pm2";
const port: number = 3000;
const apps: StartOptions[] = [{ name: "web", script: "app.js", env: { PORT: String(port) } }];
export default { apps };
"""
# A compiler as TypeScript's own, of a language that has nothing but the lines above.
COMPILER = """\
exports.ModuleKind = { CommonJS: 1 };
exports.ScriptTarget = { ES2022: 9 };
exports.flattenDiagnosticMessageText = (text) => text;
exports.transpileModule = (text) => {
  const start = text.indexOf("oops");
  const file = { getLineAndCharacterOfPosition: () => ({ line: text.slice(0, start).split("\\n").length - 1, character: 2 }) };
  const outputText = text.replace(/import type.*/, "").replace(/: (number|StartOptions\\[\\])/g, "").replace("export default", "exports.default =");
  return { outputText, diagnostics: start < 0 ? [] : [{ file, start, messageText: "';' expected." }] };
};
"""


def old_node(tmp_path: Path, version: str) -> dict[str, str]:
    """A PATH with a node of this version, which says what it was told to do and does nothing."""
    node = tmp_path / "old" / "node"
    node.parent.mkdir()
    node.write_text(f'#!/bin/sh\ntest "$1" = --version && echo {version} || echo "$@"\n')
    node.chmod(0o755)
    return {"PATH": f"{node.parent}:{os.defpath}"}


def test_config_in_typescript_is_compiled_as_the_project_compiles(tmp_path: Path, read: Read) -> None:
    needs_node()
    library = tmp_path / "node_modules" / "typescript"
    library.mkdir(parents=True)
    (library / "index.js").write_text(COMPILER)
    path = tmp_path / "ecosystem.config.ts"
    path.write_text(TYPED)
    (tmp_path / "app.js").write_text("")
    project, problems = read(IMPORTER, path)
    assert project is not None, told(problems)
    (process,) = project.processes
    assert (process.name, process.environment["PORT"].value) == ("web", "3000")
    assert process.span.where == "ecosystem.config.ts:3"
    assert [source.path for source in project.sources] == [str(path)]


def test_error_of_the_compiler_has_its_place(tmp_path: Path, read: Read) -> None:
    needs_node()
    library = tmp_path / "node_modules" / "typescript"
    library.mkdir(parents=True)
    (library / "index.js").write_text(COMPILER)
    path = tmp_path / "ecosystem.config.ts"
    path.write_text("export default {};\n= oops\n")
    project, problems = read(IMPORTER, path)
    assert project is None
    (line,) = told(problems)
    assert line.startswith("ecosystem.config.ts:2:3: error: the config fails: SyntaxError: ") or (
        "ecosystem.config.ts:2:1: error: the config fails: SyntaxError: " in line  # Node strips types itself
    )


def test_node_that_reads_no_typescript_is_told_with_ways_out(tmp_path: Path, read: Read) -> None:
    needs_node()
    path = tmp_path / "ecosystem.config.ts"
    path.write_text(TYPED)
    (tmp_path / "app.js").write_text("")
    project, problems = read(IMPORTER, path)
    if project is not None:
        pytest.skip("the Node of this host reads TypeScript")
    assert told(problems) == [
        (
            "ecosystem.config.ts: error: the config fails: this Node reads no TypeScript [pm2-config-failed]\n"
            "    Node does from 22.18 on, and older ones with the compiler: npm install --save-dev typescript@5; or "
            "compile it: npx tsc --module commonjs ecosystem.config.ts, and give the .js"
        )
    ]


@pytest.mark.parametrize(
    ("version", "is_asked"),
    [("v20.20.2", False), ("v22.6.0", True), ("v22.18.0", False), ("v23.5.0", True), ("v24.1.0", False)],
)
def test_node_that_strips_types_when_asked_is_asked(
    version: str, *, is_asked: bool, tmp_path: Path, read: Read
) -> None:
    path = tmp_path / "ecosystem.config.ts"
    path.write_text(TYPED)
    project, problems = read(IMPORTER, path, old_node(tmp_path, version))
    assert project is None
    assert ("--experimental-strip-types" in told(problems)[0]) is is_asked, told(problems)
