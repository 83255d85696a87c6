#!/bin/sh
# After an upgrade of pm-native: restarts what runs its own code, and no process of a project. Brokers and monitors hold no
# state that a restart would lose, and their sockets stay open; a watcher looks at its folders anew.
set -eu

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
watchers=$(grep -ls '^ExecStart=.*/pm_native/runtime/watch/' \
    /etc/systemd/system/*-watch.service /usr/lib/systemd/system/*-watch.service || true)
# shellcheck disable=SC2086  # names of units, which have no spaces; the patterns are for systemctl
set -f -- 'pm-native-ipc@*.service' 'pm-native-monitor@*.service' $watchers
for unit; do systemctl try-restart "${unit##*/}"; done
