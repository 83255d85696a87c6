"""Sandboxes on a real systemd: ordinary programs work in them, and what they close is closed."""

from __future__ import annotations

import json

import pytest

from tests.machine.harness import until
from tests.machine.sites import Site, new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine

# Each does what programs of its kind do, then answers "fine"; what fails ends it, with the reason in its journal.
NODE = """
const os = require('os'), fs = require('fs'), path = require('path'), http = require('http')
const { execFileSync } = require('child_process'), { Worker } = require('worker_threads')
if (!os.cpus().length || !os.totalmem() || !os.networkInterfaces().lo) throw new Error('os')
execFileSync('/bin/sh', ['-c', 'true | cat'])
const file = path.join('data', 'node.txt')
fs.writeFileSync(file, 'x'); fs.chownSync(file, process.getuid(), process.getgid()); fs.unlinkSync(file)
fs.rmSync(fs.mkdtempSync(path.join(os.tmpdir(), 'n-')), { recursive: true })
for (let i = 0, f = n => n * 2; i < 1e6; i++) f(i)                        // compiled while it runs
new Worker('process.exit(3)', { eval: true }).on('exit', code => {
  if (code !== 3) throw new Error('worker')
  require('dns').lookup('localhost', error => {
    if (error) throw error
    http.createServer((request, answer) => answer.end('fine')).listen(process.env.PORT)
  })
})
"""
PYTHON = """
import ctypes, http.server, multiprocessing, os, random, socket, sqlite3, ssl, subprocess, tempfile, threading
def work(queue): queue.put(os.getpid())
if __name__ == "__main__":
    queue = multiprocessing.Queue()
    child = multiprocessing.Process(target=work, args=(queue,))
    child.start(); assert queue.get(timeout=10) == child.pid; child.join()
    assert subprocess.check_output("echo $((1+1))", shell=True) == b"2\\n"
    with sqlite3.connect("data/python.db") as db: db.execute("create table if not exists t (x)")
    with tempfile.NamedTemporaryFile() as file: file.write(b"x")
    ssl.create_default_context(); socket.getaddrinfo("localhost", 80); random.SystemRandom().random()
    thread = threading.Thread(target=ctypes.CDLL(None).getpid); thread.start(); thread.join()
    class Fine(http.server.BaseHTTPRequestHandler):
        def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b"fine")
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Fine).serve_forever()
"""
SHELL = """
set -e
file=$(mktemp); echo fine | tee "$file" | grep -q fine; rm "$file"
(cd data && tar -cf shell.tar -C /etc passwd && tar -xf shell.tar && gzip -f passwd && rm shell.tar)
find /usr/share -maxdepth 1 | sort | head -n 1; date; id; ps -o pid= -p $$; sleep 0.1 & wait
cp /etc/hostname data/; chmod 600 data/hostname; awk '{ print }' data/hostname
"""
NGINX = """
daemon off; worker_processes 2; pid {data}/nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {data}/body; proxy_temp_path {data}/proxy; fastcgi_temp_path {data}/fastcgi;
  uwsgi_temp_path {data}/uwsgi; scgi_temp_path {data}/scgi;
  server {{ listen {port}; location / {{ return 200 "fine"; }} }}
}}
"""
PROCESSES = """
[process.node]
writable = "data"
command = "/usr/bin/node server.js"
user = "www-data"
listen = 7001
[process.python]
writable = "data"
command = "/usr/bin/python3 server.py"
user = "www-data"
listen = 7002
[process.shell]
writable = "data"
command = "/bin/sh work.sh"
user = "www-data"
kind = "task"
[process.redis]
writable = "data"
command = "/usr/bin/redis-server --port 7004 --bind 127.0.0.1 --dir {data} --save '' --appendonly yes"
user = "redis"
[process.initdb]
writable = "data"
command = "{postgres}/initdb --auth=trust {data}/pg"
user = "postgres"
kind = "task"
[process.postgres]
writable = "data"
command = "{postgres}/postgres -D {data}/pg -p 7005 -k {data} -c listen_addresses=127.0.0.1"
user = "postgres"
depends_on = {{ initdb = "completed" }}
"""
NGINX_PROCESS = """
[process.nginx]
writable = "data"
command = "/usr/sbin/nginx -c {config}"
{user}
"""
# What a program can do with the host, as words for a shell, by the profiles that leave it open.
REACH = {
    "files of the system": "touch /usr/share/x",
    "mounts": "mount -t tmpfs tmpfs /mnt",
    "the host's name": "hostname $(hostname)",
    "devices": "test -e /dev/net",
    "setuid programs": "grep -q NoNewPrivs:.0 /proc/self/status",
    "other files": "touch /srv/x",
    "other users' homes": "ls /home/ada",
    "other processes": "cat /proc/1/environ",
    "namespaces": "unshare --user true",
    "raw sockets": "python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'",
    "setuid files": "touch data/s && chmod u+s data/s",
    "priorities": "python3 -c 'import os; os.nice(1)'",
    "the shared /tmp": "test -e /tmp/pm-native-shared",
}
LEFT_BY_BASIC = {
    *("other files", "other users' homes", "other processes", "namespaces", "raw sockets", "setuid files"),
    *("priorities", "the shared /tmp"),
}


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


@pytest.fixture
def programs(site: Site) -> Site:
    """A site with what the processes need, writable for their users alone."""
    machine = site.machine
    lacks = [
        name
        for name, path in (
            ("redis-server", "/usr/bin/redis-server"),
            ("nginx", "/usr/sbin/nginx"),
            ("postgresql", "/usr/lib/postgresql"),
        )
        if not machine.path(path).exists()
    ]
    if lacks:
        pytest.skip(f"this host has no {', '.join(lacks)}")
    for name, text in (("server.js", NODE), ("server.py", PYTHON), ("work.sh", SHELL)):
        site.write(name, text)
    return site


def answer(machine: Machine, port: int) -> str:
    """What the server on this port says, "" while it does not."""
    words = "import sys, urllib.request as r; print(r.urlopen(f'http://127.0.0.1:{sys.argv[1]}/', timeout=5).read().decode())"
    return machine.run(["python3", "-c", words, str(port)], check=False).stdout.strip()


def wait_for_answer(site: Site, port: int) -> None:
    until(lambda: answer(site.machine, port) == "fine", what=lambda: journal(site))


@pytest.mark.parametrize("profile", ["basic", "strict"])
def test_node_python_shell_redis_postgres_and_nginx_work_in_a_sandbox(programs: Site, profile: str) -> None:
    site, machine = programs, programs.machine
    data = f"{site.folder}/data"
    postgres = f"/usr/lib/postgresql/{machine.run(['ls', '/usr/lib/postgresql']).stdout.split()[0]}/bin"
    machine.run(["mkdir", "-m", "1777", data])
    site.write("nginx.conf", NGINX.format(data=data, port=7006))
    text = PROCESSES.format(data=data, postgres=postgres)
    # As root, the master makes its own workers of another user: basic lets it, strict has no privilege to do it with.
    user = 'user = "www-data"' if profile == "strict" else ""
    text += NGINX_PROCESS.format(config=f"{site.folder}/nginx.conf", user=user)
    site.config(f'sandbox = "{profile}"\n{text}')
    assert site.applied().failures == {}
    for port in (7001, 7002, 7006):
        wait_for_answer(site, port)
    redis = ["redis-cli", "-p", "7004"]
    assert machine.run([*redis, "set", "a", "b"]).stdout == "OK\n"
    assert machine.run([*redis, "save"]).stdout == "OK\n"
    psql = [f"{postgres}/psql", "-h", "127.0.0.1", "-p", "7005", "-U", "postgres", "-At", "-c"]
    until(
        lambda: not machine.run([*psql, "select 1"], check=False).returncode,
        what=lambda: journal(site),
    )
    assert (
        machine.run(
            [*psql, "create table t as select generate_series(1, 1000) x; select sum(x) from t"]
        ).stdout.split()[-1]
        == "500500"
    )
    machine.systemctl("stop", f"{site.name}.target")
    states = {
        name: machine.show(f"{site.name}-{name}.service", "Result", "NRestarts")
        for name in ("node", "python", "redis", "postgres", "nginx")
    }
    assert {name: tuple(state.values()) for name, state in states.items()} == dict.fromkeys(
        states, ("success", "0")
    )


def journal(site: Site) -> str:
    return "\n".join(
        site.machine.run(
            ["journalctl", "--no-pager", "-n", "60", "-o", "cat", f"--unit={site.name}-*"]
        ).stdout.splitlines()
    )


REACHES = """
exec 2>/dev/null
touch data/own || echo none of its own files
"""


def reach_script() -> str:
    return REACHES + "".join(
        f'if {words} >/dev/null; then echo "open: {name}"; fi\n' for name, words in REACH.items()
    )


def said(machine: Machine, unit: str) -> set[str]:
    return {
        line.removeprefix("open: ") for line in machine.journal(unit) if line.startswith(("open: ", "none"))
    }


def test_basic_closes_the_system_and_strict_all_but_the_network_and_its_own_files(site: Site) -> None:
    machine = site.machine
    machine.user_session("ada")
    machine.write("/tmp/pm-native-shared", "")
    machine.run(["mkdir", f"{site.folder}/data"])
    site.write("reach.sh", reach_script())
    site.config(
        "".join(
            f'[process.{profile}]\nkind = "task"\ncommand = "/bin/sh reach.sh"\nsandbox = "{profile}"\n'
            + ('writable = "data"\n' if profile != "off" else "")
            for profile in ("off", "basic", "strict")
        )
    )
    site.apply()
    found = {name: said(machine, f"{site.name}-{name}.service") for name in ("off", "basic", "strict")}
    assert found == {"off": {*REACH}, "basic": LEFT_BY_BASIC, "strict": set()}


def test_sandbox_of_a_users_own_manager_holds(machine: Machine) -> None:
    """Also on 252, which leaves out what needs a mount unless PrivateUsers= is set."""
    site = Site(machine, "own", machine.user_session("ada"))
    machine.run(["mkdir", "-p", f"{site.folder}/data"], user="ada")
    machine.write("/tmp/pm-native-shared", "")
    probes = {
        "its home": f"touch {site.folder}/x",
        "the shared /tmp": "test -e /tmp/pm-native-shared",
        "namespaces": "unshare --user true",
        "devices": "test -e /dev/net",
        "setuid programs": "grep -q NoNewPrivs:.0 /proc/self/status",
    }
    site.write(
        "reach.sh",
        # Not to the journal: that learns from its cgroup of what user unit a process is, if it still lives by then.
        'exec >"data/$1" 2>/dev/null\n'
        + "".join(f'if {words}; then echo "{name}"; fi\n' for name, words in probes.items()),
    )
    site.config(
        "".join(
            f'[process.{profile}]\nkind = "task"\ncommand = "/bin/sh reach.sh {profile}"\nsandbox = "{profile}"\n'
            + ('writable = "data"\n' if profile != "off" else "")
            for profile in ("off", "basic", "strict")
        )
    )
    machine.run(["chown", "-R", "ada:", site.folder])
    site.apply()
    found = {
        name: {*machine.read(f"{site.folder}/data/{name}").splitlines()}
        for name in ("off", "basic", "strict")
    }
    site.remove()
    assert found == {
        "off": {*probes},
        "basic": {"its home", "the shared /tmp", "namespaces"},
        "strict": set(),
    }


def test_strict_is_under_two_as_anybody_and_off_is_told_and_fails(site: Site) -> None:
    head = '[process.{}]\ncommand = "/bin/sleep infinity"\n'
    strict = "".join(
        f"{head.format(name)}{more}\n"
        for name, more in (
            ("user", 'user = "www-data"'),
            ("root", ""),
            ("low", 'user = "www-data"\nlisten = 80'),
            ("pool", 'user = "www-data"\ninstances = 2\nlisten = 3000'),
        )
    )
    shared = 'sandbox = "strict"\n'
    site.config(shared + strict)
    site.pm_native("check", "--max-exposure", "1.9")
    site.config(shared + strict + head.format("open") + 'sandbox = "off"\n')
    done = site.pm_native("check", "--json", "--max-exposure", "1.9", code=1)
    (first, *others) = json.loads(done.stdout)["data"]["security"]
    assert (first["unit"], first["sandbox"], first["word"]) == (f"{site.name}-open.service", "off", "unsafe")
    assert first["exposure"] > 9
    assert [item["change"] for item in first["would_lower"]] == [
        'sandbox = "basic"',
        'sandbox = "strict"',
        "a `user`",
    ]
    assert all(item["exposure"] < 2 for item in others)
    assert len(others) == 4
