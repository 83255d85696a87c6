#!/bin/sh
# Before pm-native is removed: says what stays. What was applied belongs to the host, and runs on.
set -eu

projects=
for record in /var/lib/pm-native/*/current.json; do
    [ -e "$record" ] || continue
    project=${record%/current.json}
    projects="$projects ${project##*/}"
done
[ -n "$projects" ] || exit 0
echo "The units of these projects stay in /etc/systemd/system and run on:$projects"
needing=$(grep -lsE '/pm_native/runtime/|^Wants=pm-native-' /etc/systemd/system/*.service || true)
if [ -n "$needing" ]; then
    echo "These need programs of pm-native, and will not start again as they should without it:"
    for unit in $needing; do echo "  ${unit##*/}"; done
fi
# shellcheck disable=SC2016  # a command to type
echo 'To take them away: install pm-native again, and run `pm-native remove` before removing it.'
