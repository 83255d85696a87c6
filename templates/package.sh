# What the scripts of a package of compiled units have in common. Above, $package, $project, $listing and $units are set:
# the name of the package, that of the project, the file with a line for each unit, the names of the units of this version.
before=/run/$package.units # the lines of the version before, while an upgrade is at work
stopped=/run/$package.stopped # what ran and was stopped for it

booted() {
    [ -d /run/systemd/system ]
}

# The names of units in lines, all or those that are started.
names() {
    while read -r _ _ start unit; do
        if [ -n "$unit" ] && { [ "$1" = all ] || [ "$start" = start ]; }; then echo "$unit"; fi
    done
}

# Before the files of this version are put in place: what this version has no more is stopped, while systemd knows it, and so
# is what must not see them change.
before_files() {
    if [ -e "/etc/systemd/system/$project.target" ]; then
        echo "$package: pm-native applied project $project here, which this package would install beside it." >&2
        echo "$package: take it away first: pm-native remove $project" >&2
        exit 1
    fi
    rm -f "$before" "$stopped"
    if [ ! -e "$listing" ]; then
        return 0
    fi
    (umask 077 && cat "$listing" >"$before")
    if ! booted; then
        return 0
    fi
    going=
    while read -r _ mode _ unit; do
        if [ "$mode" != pause ] && echo "$units" | grep -qxF "$unit"; then
            continue
        fi
        going="$going $unit"
        if systemctl --quiet is-active "$unit"; then echo "$unit" >>"$stopped"; fi
    done <"$before"
    [ -z "$going" ] || systemctl stop $going || echo "$package: not everything stopped:$going" >&2
}

# After the files of this version are in place.
after_files() {
    if [ -e "/usr/lib/sysusers.d/$package.conf" ]; then
        systemd-sysusers "$package.conf"
    fi
    if [ ! -e "$before" ]; then
        systemctl enable --quiet "$project.target"
    fi
    if booted; then
        systemctl daemon-reload
        if [ -e "$before" ]; then switch; else systemctl start "$project.target" || tell_failed; fi
        start_again
    fi
    rm -f "$before" "$stopped"
}

# The upgrade from this version, whose files are in place again, came to nothing.
after_abort() {
    if booted; then
        systemctl daemon-reload
        start_again
    fi
    rm -f "$before" "$stopped"
}

# What was stopped for the upgrade, as far as it is still there.
start_again() {
    if [ ! -e "$stopped" ]; then
        return 0
    fi
    there=
    while read -r unit; do
        if names all <"$listing" | grep -qxF "$unit"; then there="$there $unit"; fi
    done <"$stopped"
    [ -z "$there" ] || systemctl start $there || tell_failed
}

# Whether a unit that differs is to run: it does, or it would if it could. What was stopped by hand stays so, and a task of a
# timer keeps to its schedule. $1: its START, $2: its name.
wanted() {
    case $(systemctl is-active "$2") in
        active | reloading) ;;
        activating | failed) [ "$1" = start ] ;;
        *) return 1 ;;
    esac
}

# Restarts what differs from the version before and is to run, and starts what is new.
switch() {
    together=
    sockets=
    while read -r digest mode start unit; do
        if grep -qxF "$digest $mode $start $unit" "$before"; then
            continue
        elif ! names all <"$before" | grep -qxF "$unit"; then
            [ "$start" != start ] || together="$together $unit"
        elif [ "$mode" != keep ] && wanted "$start" "$unit"; then
            case $mode:$unit in
                *.socket) sockets="$sockets $unit" ;;
                roll:*) ;;
                *) together="$together $unit" ;;
            esac
        fi
    done <"$listing"
    for socket in $sockets; do
        restart_socket "$socket"
    done
    if [ -n "$together" ]; then
        again $together || tell_failed
    fi
    roll
}

# One after the other, each when the one before is up again; at the first that is not, the others stay as they are.
roll() {
    while read -r digest mode start unit; do
        if [ "$mode" != roll ] || grep -qxF "$digest $mode $start $unit" "$before" || ! names all <"$before" | grep -qxF "$unit"; then
            continue
        fi
        case $unit in
            *.socket) continue ;;
        esac
        wanted "$start" "$unit" || continue
        if ! again "$unit" </dev/null; then
            echo "$package: $unit does not come up: those after it run on as they were" >&2
            tell_failed
            return 0
        fi
    done <"$listing"
}

# Starts of the version before do not count against the limit.
again() {
    systemctl reset-failed "$@" 2>/dev/null || true
    systemctl restart "$@"
}

# systemd starts no socket whose service runs.
restart_socket() {
    services=$(systemctl show --property=Triggers --value "$1")
    running=
    for service in $services; do
        if systemctl --quiet is-active "$service"; then running="$running $service"; fi
    done
    systemctl stop "$1" $running
    systemctl start "$1" $running || tell_failed
}

# A unit that fails is told and does not fail the package: the units are installed, and systemd is where to look.
tell_failed() {
    echo "$package: not everything is up; see: systemctl list-units --failed '$project-*'" >&2
}

# Before the files go for good. What was started by hand, such as further instances of a pool, is in the slice, too.
before_removal() {
    if booted; then
        listed=
        [ ! -e "$listing" ] || listed=$(names all <"$listing")
        systemctl stop "$project.target" $listed || echo "$package: not everything stopped" >&2
    fi
    systemctl disable --quiet "$project.target" || true
}

# After the files are gone, or after those of the version before are.
after_removal() {
    if booted; then
        systemctl daemon-reload
        [ "$1" != last ] || systemctl reset-failed "$project-*" 2>/dev/null || true
    fi
}
