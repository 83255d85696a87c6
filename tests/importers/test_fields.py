"""The tables of fields: whole, said in words, and what an importer goes by."""

from __future__ import annotations

import json

import pytest

from pm_native.importers.registry import importer, importers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.importers.base import Importer
    from tests.importers.helpers import Read

# What the formats' own references list, per section: the tables have all of it.
COMPOSE_SERVICE = """
annotations attach build blkio_config cpu_count cpu_percent cpu_shares cpu_period cpu_quota cpu_rt_runtime cpu_rt_period
cpus cpuset cap_add cap_drop cgroup cgroup_parent command configs container_name credential_spec depends_on deploy develop
device_cgroup_rules devices dns dns_opt dns_search domainname driver_opts entrypoint env_file environment expose extends
external_links extra_hosts gpus group_add healthcheck hostname image init ipc isolation labels label_file links logging
mac_address mem_limit mem_reservation mem_swappiness memswap_limit models network_mode networks oom_kill_disable
oom_score_adj pid pids_limit platform ports post_start pre_stop privileged profiles provider pull_policy read_only restart
runtime scale secrets security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits
use_api_socket user userns_mode uts volumes volumes_from working_dir
"""
PROCESS_COMPOSE_PROCESS = """
command entrypoint description working_dir environment env_file is_dotenv_disabled vars is_template_disabled availability
success_exit_codes depends_on readiness_probe liveness_probe ready_log_line shutdown is_daemon launch_timeout_seconds disabled
is_disabled replicas namespace log_location log_configuration is_foreground is_tty is_interactive is_elevated schedule watch
disable_ansi_colors
"""
TUIX_PROCESS = """
id name command args cwd env autostart autorestart autoRestart restartDelay maxRestarts watch watchPaths ignoreWatch
watchDebounce logFile errorFile maxMemory maxCpu group interpreter uid gid healthCheck skipValidation
"""


@pytest.mark.parametrize("found", [*importers()], ids=lambda found: found.name)
def test_every_format_has_its_table(found: Importer) -> None:
    fields = found.fields()
    assert fields
    names = [(field.section, field.name) for field in fields]
    assert [pair for pair in names if names.count(pair) > 1] == []
    for field in fields:
        assert field.becomes or field.differs, f"{field.name} becomes nothing, and nobody says why"
        assert not (field.becomes and field.harmless), f"{field.name} becomes something: it is not harmless"
        assert not field.differs.endswith("."), field.name


@pytest.mark.parametrize(
    ("name", "section", "listed"),
    [
        ("compose", "a service", COMPOSE_SERVICE),
        ("process-compose", "a process", PROCESS_COMPOSE_PROCESS),
        ("tuix", "a process", TUIX_PROCESS),
    ],
)
def test_table_has_all_that_the_format_has(name: str, section: str, listed: str) -> None:
    fields = importer(name).fields()
    known = {field.name.partition(".")[0] for field in fields if field.section == section}
    assert set(listed.split()) - known == set()


def test_each_field_that_becomes_nothing_is_told(tmp_path: Path, read: Read) -> None:
    """A service with every such field of compose: each is in a diagnostic, by its path."""
    found = importer("compose")
    lost = [field for field in found.fields() if field.section == "a service" and not field.becomes]
    service: dict[str, object] = {"command": "sleep 9"}
    for field in lost:
        *above, last = field.name.split(".")
        place = service
        for key in above:
            inner = place.setdefault(key, {})
            assert isinstance(inner, dict)
            place = inner
        place[last] = "value"
    path = tmp_path / "compose.json"
    path.write_text(json.dumps({"services": {"web": service}}))
    project, problems = read(found, path)
    assert project is not None
    told = "\n".join(item.message for item in problems if item.lost)
    assert [field.name for field in lost if field.name not in told] == []
