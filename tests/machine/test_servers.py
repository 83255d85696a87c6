"""Servers as Debian ships them on a shared listener: they take it, and a rolling reload under load loses nothing."""

from __future__ import annotations

import pytest

from tests.machine.load import Load
from tests.machine.sites import new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine
    from tests.machine.sites import Site

ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})
"""
WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
NGINX = """
daemon off; pid nginx.pid; error_log stderr; events { }
http { access_log off; server { listen [::]:3502 ipv6only=off; location / { return 200 "hello"; } } }
"""
POOL = 'instances = 2\non_change = "reload"\nlisten = {{ port = {}, share = true }}\n'


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


def reloaded_under_load(site: Site, port: int, *, kept: int) -> None:
    """Two rolling reloads of the pool while clients ask: all instances are others, and no request was lost."""
    load = Load(site.machine, port, kept=kept)
    for _ in range(2):
        before = site.runs()
        site.pm_native("reload", "web", "--settle", "0.5")
        now = site.runs()
        changed = sorted(name for name, run in now.items() if before.get(name) != run)
        assert changed == [f"{site.name}-web@{number}.service" for number in (1, 2)]
    answered, lost = load.end()
    assert (answered > 100, lost) == (True, 0)


def test_unmodified_uvicorn(site: Site) -> None:
    site.write("app.py", ASGI)
    command = "/usr/bin/uvicorn --log-level warning --port 3500 app:app"
    site.config(f'[process.web]\ncommand = "{command}"\n{POOL.format(3500)}')
    site.apply()
    unit = f"{site.name}-web@1.service"
    shown = site.machine.show(unit, "Type", "ActiveState", "StatusText")
    assert shown == {"Type": "notify", "ActiveState": "active", "StatusText": "listening"}
    reloaded_under_load(site, 3500, kept=4)


def test_gunicorn(site: Site) -> None:
    site.write("app.py", WSGI)
    command = "/usr/bin/gunicorn --log-level warning app:app"
    site.config(f'[process.web]\ncommand = "{command}"\nnotify = true\n{POOL.format(3501)}')
    site.apply()
    reloaded_under_load(site, 3501, kept=4)


def test_nginx(site: Site) -> None:
    """Connections that wait for a further request it closes at its end, as ever: new ones alone."""
    if site.machine.run(["test", "-x", "/usr/sbin/nginx"], check=False).returncode:
        pytest.skip("this host has no nginx")
    for number in (1, 2):
        site.machine.run(["mkdir", "-p", f"{site.folder}/{number}"])
    site.write("nginx.conf", NGINX)
    command = "exec /usr/sbin/nginx -p $PM_NATIVE_INSTANCE -c ../nginx.conf"
    site.config(
        f'[process.web]\ncommand = "{command}"\nshell = true\nsystemd.Service.NonBlocking = true\nenvironment = {{ NGINX = "3;" }}\n'
        f'stop = {{ signal = "SIGQUIT", mode = "mixed" }}\n{POOL.format(3502)}'
    )
    site.apply()
    reloaded_under_load(site, 3502, kept=0)
