#!/bin/sh
# Builds the Debian package, source and binary, of this checkout as it is: packaging/deb.sh DIRECTORY
# The same checkout gives the same bytes. Needs debhelper, dh-python and python3-hatchling (see debian/control).
set -eu
checkout=$(cd "$(dirname "$0")/.." && pwd)
output=$1
umask 022
mkdir -p "$output"
output=$(cd "$output" && pwd)

# Debian's own Python, whatever else is on PATH: another one has not the build backends of Debian.
debian() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent LANG=C.UTF-8 "$@"; }

version=$(debian python3 "$checkout/packaging/changelog.py" version)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tree=$scratch/pm-native-$version
"$checkout/packaging/tree.sh" "$tree"
debian python3 "$tree/packaging/changelog.py" debian >"$scratch/changelog"
epoch=$(date --date "$(dpkg-parsechangelog --file "$scratch/changelog" --show-field Date)" +%s)
export SOURCE_DATE_EPOCH="$epoch"

tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$epoch" --directory "$scratch" \
    "pm-native-$version" | gzip --no-name --best >"$scratch/pm-native_$version.orig.tar.gz"
cp -r "$tree/packaging/debian" "$tree/debian"
cp "$scratch/changelog" "$tree/debian/changelog"
(cd "$tree" && debian dpkg-buildpackage --unsigned-source --unsigned-changes >"$scratch/log" 2>&1) || {
    cat "$scratch/log" >&2
    exit 1
}
for file in "$scratch"/pm-native_*; do
    mv "$file" "$output/"
    echo "$output/${file##*/}"
done
