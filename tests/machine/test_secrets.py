"""Secrets on a real systemd: the program has them, and nobody else finds them anywhere."""

from __future__ import annotations

import pytest

from tests.machine.harness import until
from tests.machine.sites import Site, new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine

# What quoting, expansion or a wrong end of line would change, and what no other text of the machine holds.
SECRET = """c0rrect-h0rse $HOME `id` %n "q" 'a' \\ é"""
SEALED = "sealed-batt3ry"
FILE_ONLY = "file-0nly-staple"
# Says that it is fine only if each secret is what it should be, and stays.
PROGRAM = """
import os, sys, time
folder = os.environ["CREDENTIALS_DIRECTORY"]
read = lambda name: open(f"{folder}/{name}", encoding="utf-8").read()
want = open("want", encoding="utf-8").read()
assert os.environ["DB_PASSWORD"] == want, "variable"
assert read("DB_PASSWORD") == want + "\\n", "file"
assert read("token") == os.environ.get("TOKEN_IS", read("token")), "token"
assert "token" not in os.environ
print("fine", os.environ.get("PORT", "-"), os.getuid(), flush=True)
time.sleep(10 ** 6)
"""


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


def put(site: Site, name: str, text: str, owner: str = "root") -> None:
    site.write(name, text, mode=0o600)
    site.machine.run(["chown", owner, f"{site.folder}/{name}"])


def wait_for_words(machine: Machine, unit: str, words: str, user: str | None = None) -> None:
    until(
        lambda: words in machine.journal(unit, user=user),
        what=lambda: str(machine.journal(unit, user=user)),
    )


def found_in(secrets: tuple[str, ...], texts: dict[str, str]) -> list[str]:
    return [f"{secret} in {where}" for where, text in texts.items() for secret in secrets if secret in text]


def told(machine: Machine, units: list[str], user: str | None = None) -> dict[str, str]:
    """All that anybody on the machine is told of units: by systemd, by the kernel and by the journal."""
    scope = ["--user"] if user else []
    pids = [machine.show(unit, "MainPID", user=user)["MainPID"] for unit in units]
    return {
        "systemctl show": machine.run(["systemctl", *scope, "show", *units], user=user).stdout,
        "systemctl cat": machine.run(["systemctl", *scope, "cat", *units], user=user).stdout,
        "systemctl status": machine.run(
            ["systemctl", *scope, "status", *units], user=user, check=False
        ).stdout,
        "cmdline": "".join(machine.read(f"/proc/{pid}/cmdline") for pid in pids),
        "journal": machine.run(["journalctl", "--no-pager", "-o", "export"]).stdout,
    }


def files_with(machine: Machine, site: Site, secrets: tuple[str, ...]) -> list[str]:
    """The files of the machine that hold one of the texts; those that the secrets were read from excepted."""
    words = [word for secret in secrets for word in ("-e", secret)]
    home = [f"/home/{site.user}"] if site.user else []
    places = ["/etc", "/var/lib", "/run/systemd/system", "/run/systemd/transient", site.folder, *home]
    found = machine.run(
        ["grep", "-rlF", "-s", "--binary-files=text", *words, *places], check=False
    ).stdout.split("\n")
    return sorted(
        {
            name
            for name in found
            if name and not name.startswith(f"{site.folder}/in/") and not name.endswith("/want")
        }
    )


def test_pool_has_its_secrets_as_files_and_variables_and_nobody_is_told_them(site: Site) -> None:
    machine, units = site.machine, [f"{site.name}-api@{number}.service" for number in (1, 2)]
    put(site, "in/password", f"{SECRET}\n")
    put(site, "in/token", FILE_ONLY)
    site.write("want", SECRET)
    site.write("program.py", PROGRAM)
    sealing = ["systemd-creds", "encrypt", "--name=sealed", "-", f"{site.folder}/in/sealed.cred"]
    machine.run(sealing, input=SEALED)
    site.write(
        "sealed.sh",
        'test "$(cat "$CREDENTIALS_DIRECTORY/sealed")" = "$sealed" && test "$(echo "$sealed" | wc -c)" = 15\n',
    )
    site.config(
        """
        [process.api]
        command = "/usr/bin/python3 program.py"
        user = "www-data"
        instances = 2
        listen = 7100
        sandbox = "strict"
        secrets = { DB_PASSWORD = { file = "in/password", env = true }, token = "in/token" }
        [process.sealed]
        command = "/bin/sh sealed.sh"
        kind = "task"
        user = "www-data"
        secrets = { sealed = { file = "in/sealed.cred", encrypted = true, env = true } }
        """
    )
    plan = site.pm_native("plan", "-f", "pm-native.toml", code=2)
    done = site.apply()
    for number, unit in enumerate(units):
        uid = machine.run(["id", "-u", "www-data"]).stdout.strip()
        wait_for_words(machine, unit, f"fine {7100 + number} {uid}")
    assert machine.show(f"{site.name}-sealed.service", "Result")["Result"] == "success"
    secrets = (SECRET, SEALED, FILE_ONLY)
    texts = told(machine, units)
    texts |= {"plan": plan.stdout + plan.stderr, "apply": done.stdout + done.stderr}
    texts["explain"] = site.pm_native("explain", "-f", "pm-native.toml").stdout
    texts["status"] = site.pm_native("status", site.name, "--json").stdout
    assert found_in(secrets, texts) == []
    assert files_with(machine, site, secrets) == []


def test_changed_secret_is_a_change_that_the_plan_tells_and_apply_takes_up(site: Site) -> None:
    machine, unit = site.machine, f"{site.name}-api.service"
    put(site, "in/password", "first\n\n")
    site.config(
        '[process.api]\nuser = "www-data"\nsecrets = { WORD = { file = "in/password", env = true } }\n'
        "command = ['/bin/sh', '-c', 'echo \"$WORD.\"; exec sleep infinity']\n"
    )
    site.apply()
    wait_for_words(machine, unit, "first.")
    put(site, "in/password", "second")
    plan = site.pm_native("plan", "-f", "pm-native.toml", code=2).stdout
    assert f"{site.folder}/in/password" in plan
    assert found_in(("first", "second"), {"plan": plan}) == []
    assert site.applied().steps == [f"restart {unit}"]
    wait_for_words(machine, unit, "second.")
    assert site.applied().steps == []


def test_secret_that_is_not_there_fails_the_start_and_says_why(site: Site) -> None:
    site.config('[process.api]\ncommand = "/bin/sleep infinity"\nsecrets = { a = "in/none" }\n')
    refused = site.apply(code=78)
    assert f"there is no {site.folder}/in/none on this host, the file of the secret a" in refused.stderr
    failures = site.applied("--allow-missing", code=4).failures
    assert (
        failures[f"{site.name}-api.service"]["exit"]
        == "exit status 243/CREDENTIALS: the credentials cannot be loaded"
    )


def test_users_own_manager_gives_secrets_and_refuses_to_decrypt(machine: Machine) -> None:
    site = Site(machine, "keys", machine.user_session("ada"))
    machine.run(["mkdir", "-p", site.folder], user="ada")
    put(site, "in/password", f"{SECRET}\n", "ada")
    put(site, "in/token", FILE_ONLY, "ada")
    site.write("want", SECRET)
    site.write("program.py", PROGRAM)
    head = '[process.api]\ncommand = "/usr/bin/python3 program.py"\n'
    secrets = '{ DB_PASSWORD = { file = "in/password", env = true }, token = { file = "in/token"%s } }'
    machine.run(["chown", "-R", "ada:", site.folder])
    site.config(f"{head}secrets = {secrets % ', encrypted = true'}\n")
    assert "a user's own service manager cannot decrypt: the key is root's" in site.apply(code=78).stderr
    site.config(f'{head}sandbox = "basic"\nsecrets = {secrets % ""}\n')
    site.apply()
    uid = machine.run(["id", "-u", "ada"]).stdout.strip()
    wait_for_words(machine, "keys-api.service", f"fine - {uid}", "ada")
    assert found_in((SECRET, FILE_ONLY), told(machine, ["keys-api.service"], "ada")) == []
    assert files_with(machine, site, (SECRET, FILE_ONLY)) == []
    site.remove()
