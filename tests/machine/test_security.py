"""On a real systemd: whose files root applies, where secrets end up, what no project can take."""

from __future__ import annotations

import json
import shlex
from hashlib import sha256

import pytest

from tests.machine.sites import new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine
    from tests.machine.sites import Site

NOBODY = "65534"
FINE = '[process.a]\ncommand = "/bin/sleep infinity"\n'
# One word in all of them, to look for: `hunter2` behind each name tells where it came from.
CONFIG = """
environment = {{ DB_PASSWORD = "hunter2-project" }}
environment_files = ["all.env"]

[process.web]
command = "/bin/sleep infinity"
environment = {{ API_TOKEN = "hunter2-process", DB_URL = "postgres://ada:hunter2-url@localhost/shop" }}
environment_files = ["web.env"]

[process.bad]
command = ["sh", "-c", "printf '\\\\033[2Jstarted\\\\n'; exit 3"]
restart = {{ policy = "no" }}
environment = {{ SESSION_SECRET = "hunter2-bad{}" }}
"""


@pytest.fixture
def site(host_machine: Machine) -> Iterator[Site]:
    """On one systemd: files, modes and owners are the kernel's matter."""
    yield from new_site(host_machine)


def test_root_applies_what_it_or_its_caller_alone_can_write(site: Site) -> None:
    machine, config = site.machine, f"{site.folder}/pm-native.toml"
    site.config(f'{FINE}environment_files = ["{site.folder}/a.env"]\n')
    site.write("a.env", "KEY=1\n")
    site.pm_native("generate", "-f", "pm-native.toml")
    site.pm_native("plan", "-f", "pm-native.toml", "-o", "saved.plan", code=2)

    def refused(words: str, *given: str, caller: str = "") -> None:
        command = ("apply", *(given or ("-f", config)))
        environment = {"SUDO_UID": caller} if caller else None
        done = machine.pm_native(*command, env=environment, check=False, cwd=site.folder)
        assert (done.returncode, [line for line in done.stderr.splitlines() if "error: " in line]) == (
            77,
            [f"error: root acts on nothing {words}"],
        )
        assert site.files() == {}

    made = f"build/systemd/{site.name}-a.service"
    for path, given in {
        site.folder: (),
        config: (),
        f"{site.folder}/a.env": (),
        f"{site.folder}/{made}": ("--from", "build/systemd"),
        f"{site.folder}/saved.plan": ("saved.plan",),
        site.units: (),
    }.items():
        machine.run(["chmod", "o+w", path])
        refused(f"that others can write: {path} is open to everybody", *given)
        machine.run(["chmod", "o-w", path])
    machine.run(["usermod", "--append", "--groups", "users", "nobody"])
    machine.run(["chgrp", "users", config])
    machine.run(["chmod", "g+w", config])
    refused(f"that others can write: {config} is open to group users")
    machine.run(["chmod", "g-w", config])
    machine.run(["chown", "-R", "nobody", site.folder])
    refused(f"of others: {site.folder} belongs to nobody")
    refused(f"of others: {site.folder} belongs to nobody", caller="1")
    # A program of somebody else's is not run to see what it is, and nobody waits for what may never come.
    site.write("ecosystem.config.js", f"require('fs').writeFileSync('/run/{site.name}.ran', '')\n")
    machine.run(["chown", "nobody", f"{site.folder}/ecosystem.config.js"])
    for verb in ("check", "explain", "generate", "plan"):
        done = machine.pm_native(verb, "-f", f"{site.folder}/ecosystem.config.js", check=False, cwd="/")
        assert (done.returncode, "root acts on nothing of others: " in done.stderr) == (77, True)
    assert not machine.path(f"/run/{site.name}.ran").exists()
    # Nor is anything applied that such a program had a part in.
    mine = f"/srv/{site.name}-js"
    machine.write(f"{mine}/ecosystem.config.js", "require('theirs'); module.exports = {apps: []}\n")
    machine.write(f"{mine}/node_modules/theirs/index.js", "")
    machine.run(["chown", "-R", "nobody", f"{mine}/node_modules/theirs"])
    done = machine.pm_native("apply", "-f", f"{mine}/ecosystem.config.js", check=False, cwd="/")
    assert f"root acts on nothing of others: {mine}/node_modules/theirs belongs to nobody\n" in done.stderr
    machine.run(["mkfifo", f"{site.folder}/pipe.toml"])
    done = machine.pm_native("check", "-f", f"{site.folder}/pipe.toml", check=False, cwd="/")
    assert (done.returncode, "it is a pipe, a socket or a device" in done.stderr) == (78, True)
    # A link to it, and a folder in which nobody but its owner can take a file away.
    machine.run(["ln", "-sfn", config, f"/tmp/{site.name}.toml"])
    machine.run(["chown", "-h", "nobody", f"/tmp/{site.name}.toml"])
    done = machine.pm_native("apply", "-f", f"/tmp/{site.name}.toml", check=False, cwd="/")
    assert done.stderr.startswith(
        f"error: root acts on nothing of others: /tmp/{site.name}.toml belongs to nobody\n"
    )
    machine.pm_native(
        "apply", "-f", f"/tmp/{site.name}.toml", "--settle", "0", env={"SUDO_UID": NOBODY}, cwd="/"
    )
    assert f"{site.name}-a.service" in site.runs()


def test_no_secret_is_in_what_is_said_or_where_others_can_read(site: Site) -> None:
    said = use_all(site)
    assert len(said) == 2 * 20
    assert [text for text in said if "hunter2" in text] == []
    # What a program prints moves no cursor of root's.
    assert [text for text in said if "\x1b" in text] == []
    assert any("| \N{REPLACEMENT CHARACTER}[2Jstarted\n" in text for text in said)
    machine = site.machine
    places = ["/etc", "/var", "/run", "/srv", "/tmp"]
    look = f"grep -rlsF -D skip hunter2 {' '.join(places)}"
    # As somebody else: every file, and what systemd tells of the units.
    nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    script = f"{look}; systemctl show '{site.name}*'; systemctl cat '{site.name}*'"
    told = machine.run([*nobody, "sh", "-c", script], check=False).stdout
    assert "ExecStart=" in told
    assert "hunter2" not in told
    assert [line for line in told.splitlines() if line.startswith(tuple(places))] == []
    journal = machine.run(["journalctl", "--no-pager", "--output=export"]).stdout
    assert f"{site.name}-bad.service" in journal
    assert "hunter2" not in journal
    # As root: where they are, each file and folder for root alone.
    found = machine.run(look.split(), check=False).stdout.split()
    manifest = f"{site.folder}/build/systemd/pm-native-manifest.json"  # it has hashes, by which one could be guessed
    ours = (f"/etc/pm-native/{site.name}", f"/var/lib/pm-native/{site.name}/generations", site.folder)
    assert [path for path in found if not path.startswith(ours)] == []
    assert len([path for path in found if path.endswith(".env")]) > 6
    assert set(machine.run(["stat", "--format=%a", *found, manifest]).stdout.split()) == {"600"}
    assert machine.run(["stat", "--format=%a", *ours]).stdout.split() == ["700", "700", "755"]


def test_records_are_closed_to_others_who_see_what_runs_by_the_unit_files(site: Site) -> None:
    machine = site.machine
    site.config(f'{FINE}instances = 2\nenvironment_files = ["a.env"]\n')
    site.write("a.env", "KEY=1\n")
    site.apply("--settle", "0")
    # Who has no rights can plan for root all the same.
    nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    ours = [str(machine.python), "-m", "pm_native"]
    source, saved = f"{site.folder}/pm-native.toml", f"/tmp/{site.name}.plan"
    site.config(f'{FINE}instances = 2\nenvironment_files = ["a.env"]\nlimits = {{ tasks = 9 }}\n')
    machine.run(
        [*nobody, "sh", "-c", f"{shlex.join([*ours, 'plan', '-f', source, '-o', saved])}; test $? = 2"],
        cwd="/",
    )
    machine.run([*ours, "apply", saved, "--settle", "0"], env={"SUDO_UID": NOBODY}, cwd="/")
    places = [f"/var/lib/pm-native/{site.name}", f"/etc/pm-native/{site.name}"]
    find = ["find", *places, "-printf", "%y %m\\n"]
    assert set(machine.run(find).stdout.splitlines()) == {"d 700", "f 600"}
    site.pm_native("scale", "a=3", "--settle", "0")
    assert set(machine.run(find).stdout.splitlines()) == {"d 700", "f 600"}
    # The record of what is installed has nothing to guess a value by.
    digest = sha256(machine.read(f"/etc/pm-native/{site.name}/{site.name}-a.env").encode()).hexdigest()
    record = machine.read(f"/var/lib/pm-native/{site.name}/current.json")
    assert (f"{site.name}-a.env" in record, digest in record) == (True, False)
    shown = {}
    for who in ([], nobody):
        said = machine.run([*who, *ours, "status", site.name, "--json"], cwd="/").stdout
        (project,) = json.loads(said)["data"]["projects"]
        shown[len(who)] = {
            item["unit"]: (item["name"], item["active_state"]) for item in project["processes"]
        }
    assert shown[0] == shown[len(nobody)]
    assert len(shown[0]) == 3
    for words in (["plan"], ["apply", "--dry-run"]):
        plan = machine.run([*nobody, *ours, *words, "-f", source], cwd="/", check=False)
        assert f"! {site.name} has records that you may not read" in plan.stdout
        assert plan.returncode == 2, plan.stderr  # three instances run, and two are in the config
    # A plan of root's is nobody else's, whoever made a file of that name before.
    site.pm_native("plan", "-f", source, "-o", saved)
    assert machine.run(["stat", "--format=%U %a", saved]).stdout == "root 600\n"
    apply = machine.run([*nobody, *ours, "apply", "-f", source], cwd="/", check=False)
    assert (apply.returncode, apply.stderr.splitlines()[-1]) == (
        77,
        f"  hint: run it as root: sudo {machine.python} -m pm_native apply -f {source}",
    )


def use_all(site: Site) -> list[str]:
    """What each command says, as text and as JSON, of a project with secrets in every place, and of mistakes in it."""
    machine = site.machine
    said: list[str] = []

    def run(*words: str, code: int = 0) -> None:
        for more in ((), ("--json",)):
            done = site.pm_native(*words, *more, code=code)
            said.append(f"{words}: {done.stdout}{done.stderr}")

    def config(change: str, web: str) -> None:
        head = f'[project]\nname = "{site.name}"\n'
        site.write("pm-native.toml", head + CONFIG.format(change), mode=0o600)
        site.write("web.env", web, mode=0o600)

    source = ("-f", "pm-native.toml")
    settle = ("--settle", "0.3")
    site.write("all.env", "PLAIN=hunter2-file\n", mode=0o600)
    config("", 'KEY="hunter2-web"\nODD="hunter2-odd \\" $x `y`"\n')
    for verb in ("check", "generate", "explain"):
        run(verb, *source)
    run("plan", *source, code=2)
    run("plan", *source, "-o", "saved.plan", code=2)
    machine.run(["sh", "-c", "printf '\\377' >>saved.plan"], cwd=site.folder)  # no text any more
    run("apply", "saved.plan", code=1)
    run("apply", *source, *settle, code=4)
    config("-changed", "KEY=hunter2-web-changed\n")
    run("plan", *source, code=2)
    run("apply", "--atomic", *source, *settle, code=4)  # back to what fails, too
    run("apply", *source, *settle, code=4)
    run("diff", "6", "--project", site.name)
    assert f"{site.name}-web.env differs (its variables are not shown)\n" in said[-2]
    run("history", site.name)
    run("status", site.name, code=4)
    run("rollback", "5", "--project", site.name, *settle, code=4)
    edited = f"/etc/pm-native/{site.name}/{site.name}-web.env"
    machine.write(edited, machine.read(edited) + 'MORE="hunter2-edited"\n', mode=0o600)
    run("plan", *source, code=1)
    run("plan", *source, "--force", code=2)
    run("restart", site.name, *settle, code=4)
    config("", 'PLAIN="hunter2-web\n')
    run("plan", *source, code=78)
    site.write(
        "pm-native.toml", '[project]\nname = "x"\nenvironment = { API_KEY = ["hunter2"] }\n', mode=0o600
    )
    run("plan", *source, code=78)
    site.write("pm-native.toml", "[process.a.environment]\nAPI_KEY = hunter2\n", mode=0o600)
    run("check", *source, code=78)
    return said


def test_no_unit_file_is_hidden_and_nothing_that_is_not_ours_passes_for_ours(site: Site) -> None:
    machine, name = site.machine, site.name
    before = machine.show("apt-daily.service", "FragmentPath")
    site.write("vendor.toml", '[project]\nname = "apt"\n[process.daily]\ncommand = "/bin/sleep infinity"\n')
    said = site.apply("-f", "vendor.toml", code=1).stderr
    assert "/lib/systemd/system/apt-daily.service (of a package: ours would hide it)" in said
    assert machine.show("apt-daily.service", "FragmentPath") == before
    # Nor does a generated set that somebody edited name what is not the project's.
    site.write("set.toml", f'[project]\nname = "{name}"\n{FINE}')
    site.pm_native("generate", "-f", "set.toml")
    manifest = f"{site.folder}/build/systemd/pm-native-manifest.json"
    machine.write(manifest, machine.read(manifest).replace(f"{name}-a.service", "ssh.service"))
    said = site.apply("--from", "build/systemd", code=1).stderr
    assert f"names a file that is not of project '{name}': 'ssh.service'" in said
    # Nor does a name lead elsewhere, or to what systemd itself has.
    for taken in ("../../etc", "multi-user"):
        site.write("name.toml", f'[project]\nname = "{taken}"\n{FINE}')
        site.apply("-f", "name.toml", code=78)
    theirs, mine = f"/etc/systemd/system/their-{name}.service", "systemd would take it in place of ours"
    in_the_way = {
        f"/etc/systemd/system/{name}-alias.service": "a link",
        f"/etc/systemd/system.control/{name}-control.service": mine,
        f"/etc/systemd/system/{name}-gone.service": "not ours",
        f"/etc/systemd/system/{name}-other.service": "of project another",
        f"/run/systemd/system/{name}-runtime.service": "made at run time: ours would hide it",
        f"/run/systemd/transient/{name}-transient.service": mine,
        f"/etc/systemd/system/{name}-pool@2.service": mine,
    }
    _, control, gone, other, runtime, _, instance = in_the_way
    command = "[Service]\nExecStart=/bin/sleep 12345\n"
    for path in (control, gone, instance, runtime):
        machine.write(path, command)
    digest = sha256(command.encode()).hexdigest()
    machine.write(
        other, f"# Made by pm-native: project=another source=x:1 sha256={digest}\n# note\n{command}"
    )
    machine.write(theirs, f"{command}[Install]\nAlias={name}-alias.service\n")
    machine.systemctl("enable", theirs)
    units = [f"{name}-{one}.service" for one in ("alias", "gone", "pool@2", "transient")]
    machine.systemctl("start", *units[:3])
    machine.run(["systemd-run", f"--unit={units[3]}", "/bin/sleep", "12345"])
    runs = site.runs()
    processes = ("alias", "control", "gone", "other", "pool", "runtime", "transient")
    text = "".join(f'[process.{one}]\ncommand = "/bin/sleep infinity"\n' for one in processes)
    site.config(text.replace("[process.pool]", "[process.pool]\ninstances = 2"))
    said = site.apply("--force", "--adopt", code=1).stderr.partition("in the way: ")[2].partition("\n")[0]
    assert said == ", ".join(f"{path} ({why})" for path, why in in_the_way.items() if path != gone)
    assert site.runs() == runs
    # What is left is a process under the name of a unit of ours, and no file: that is not taken for ours either.
    machine.systemctl("stop", f"their-{name}.service", *units[2:])
    machine.systemctl("disable", theirs)
    machine.run(["rm", theirs, control, gone, other, instance, runtime])
    assert site.reasons()[f"restart {units[1]}"] == "what runs under its name is not ours"
    pid = machine.show(units[1], "MainPID")["MainPID"]
    assert machine.read(f"/proc/{pid}/cmdline").split("\0")[:-1] == ["/bin/sleep", "infinity"]
    assert site.applied().steps == []
