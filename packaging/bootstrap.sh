#!/bin/sh
# Makes a Debian host ready for `make test` and `make demo`: installs what is missing, as root, or says what is.
#
#   packaging/bootstrap.sh            a python3 that can make a virtualenv
#   packaging/bootstrap.sh machine    also what the tests on a booted systemd need
#   packaging/bootstrap.sh packages   also what builds and checks the .deb and the .rpm
#
# The last line on stdout is the interpreter to use. Without root nothing is installed: what is missing for
# python ends the run with a hint, what is missing for machines is only told (those tests are skipped).
set -eu

# The first interpreter on PATH that is new enough and can make a virtualenv with pip in it.
find_python() {
    for name in "${PYTHON:-}" python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
        [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 || continue
        # pyenv's shims exist for versions that are not selected: only running one tells. ensurepip is what
        # Debian keeps apart, in python3-venv.
        "$name" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        "$name" -c 'import sys; print(sys.executable)'
        return
    done
    return 1
}

missing_for_machine() {
    PATH=$PATH:/usr/sbin:/sbin
    for pair in \
        systemctl:systemd systemd-nspawn:systemd-container mmdebstrap:mmdebstrap nsenter:util-linux \
        dbus-daemon:dbus useradd:passwd pgrep:procps node:nodejs gunicorn:gunicorn uvicorn:uvicorn openssl:openssl \
        socat:socat mkfs.ext4:e2fsprogs mkfs.btrfs:btrfs-progs \
        mandoc:mandoc man:man-db zsh:zsh fish:fish; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || echo "${pair#*:}"
    done
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || echo debian-archive-keyring
    [ -e /usr/lib/systemd/user/dbus.socket ] || echo dbus-user-session
    [ -n "$(find /lib/*/security /usr/lib/*/security -name pam_systemd.so 2>/dev/null)" ] || echo libpam-systemd
}

missing_for_packages() {
    for package in debhelper dh-python dpkg-dev lintian pybuild-plugin-pyproject python3-all python3-build python3-click \
        python3-hatchling rpm rpmlint; do
        dpkg-query --show --showformat '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || echo "$package"
    done
}

# Installs its arguments if that is possible here; fails without a word if not.
install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
    echo "installing: $*" >&2
    export DEBIAN_FRONTEND=noninteractive
    {
        # The lists of a fresh image are absent or stale, which shows when the install fails.
        apt-get install --yes --no-install-recommends "$@" ||
            { apt-get update && apt-get install --yes --no-install-recommends "$@"; }
    } </dev/null >&2
}

if ! python=$(find_python); then
    install python3 python3-venv || true
    python=$(find_python) || {
        echo "no python3 of version 3.11 or later with venv: apt-get install python3 python3-venv" >&2
        exit 69
    }
fi

if [ "${1:-}" = machine ]; then
    missing=$(missing_for_machine | tr '\n' ' ')
    # shellcheck disable=SC2086  # a list of words
    if [ -n "$missing" ] && ! install $missing; then
        echo "tests on a booted systemd need, and will be skipped without: apt-get install $missing" >&2
    fi
    # PM2 itself, for the test that moves away from it.
    if ! command -v pm2 >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v npm >/dev/null 2>&1; then
        npm install --global --silent --no-audit --no-fund pm2 </dev/null >&2 ||
            echo "the test that leaves PM2 will be skipped without: npm install --global pm2" >&2
    fi
fi

if [ "${1:-}" = packages ]; then
    missing=$(missing_for_packages | tr '\n' ' ')
    # shellcheck disable=SC2086  # a list of words
    if [ -n "$missing" ] && ! install $missing; then
        echo "packages cannot be built without: apt-get install $missing" >&2
        exit 69
    fi
fi

echo "$python"
