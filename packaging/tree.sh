#!/bin/sh
# Copies the sources of this checkout as they are, without what is built or ignored: packaging/tree.sh DIRECTORY
set -eu
checkout=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
cd "$checkout"
if git rev-parse --git-dir >/dev/null 2>&1; then
    git ls-files --cached --others --exclude-standard -z
else
    find . -type f -not -path './.venv/*' -not -path './build/*' -not -path './dist/*' -not -name '*.pyc' -print0
fi | tar --create --null --files-from=- --ignore-failed-read 2>/dev/null | tar --extract --directory "$1"
