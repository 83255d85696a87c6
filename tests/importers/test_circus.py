"""What the cases do not show: the table of circus's fields."""

from __future__ import annotations

from pm_native.importers.circus import IMPORTER

STREAM = (
    "class filename time_format max_bytes backup_count rotate_when rotate_interval utc color refresh_time"
)
# circus's own documentation and code, section by section.
FORMAT = {
    "[circus]": "check_delay endpoint endpoint_owner pubsub_endpoint multicast_endpoint stats_endpoint statsd"
    " statsd_close_outputs umask include include_dir warmup_delay httpd httpd_host httpd_port debug debug_gc pidfile"
    " loglevel logoutput loggerconfig fqdn_prefix proc_name ssh_server stream_backend papa_endpoint",
    "[watcher:x]": "cmd args shell shell_args executable numprocesses singleton warmup_delay working_dir uid gid copy_env"
    " copy_path virtualenv virtualenv_py_ver env rlimit_* respawn max_retry stop_signal stop_children graceful_timeout"
    " send_hup max_age max_age_variance priority autostart use_sockets stdin_socket on_demand close_child_stdin"
    " close_child_stdout close_child_stderr hooks.* flapping.* check_flapping prereload_fn "
    + " ".join(f"{stream}_stream.{key}" for stream in ("stdout", "stderr") for key in STREAM.split()),
    "[socket:x]": "host port path family type proto umask backlog blocking interface so_reuseport replace use_papa",
    "[env], [env:x,y]": "*",
    "[plugin:x]": "use attempts window retry_in max_retry active priority",
    "[plugin:x] of ResourceWatcher": "use watcher service max_mem min_mem max_cpu min_cpu loop_rate max_count"
    " health_threshold process_children active priority",
}


def test_table_has_every_field_of_the_format() -> None:
    fields = IMPORTER.fields()
    assert {(item.section, item.name) for item in fields} == {
        (section, name) for section, names in FORMAT.items() for name in names.split()
    }
    assert len({(item.section, item.name) for item in fields}) == len(fields)


def test_field_that_becomes_nothing_says_why_and_what_to_do() -> None:
    for item in IMPORTER.fields():
        assert item.becomes or item.differs, item
        assert item.becomes or item.instead or item.harmless, item
