#!/bin/sh
# Builds the RPM of this checkout as it is: packaging/rpm.sh DIRECTORY
# Needs rpmbuild; on Debian also python3-build and python3-hatchling.
set -eu
checkout=$(cd "$(dirname "$0")/.." && pwd)
output=$1
umask 022
mkdir -p "$output"
output=$(cd "$output" && pwd)

# The system's own Python, whatever else is on PATH.
system() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent LANG=C.UTF-8 "$@"; }

version=$(system python3 "$checkout/packaging/changelog.py" version)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tree=$scratch/pm-native-$version
"$checkout/packaging/tree.sh" "$tree"
mkdir -p "$scratch/SOURCES"
tar --create --gzip --file "$scratch/SOURCES/pm-native-$version.tar.gz" --directory "$scratch" "pm-native-$version"
{
    sed "s/@VERSION@/$version/" "$tree/packaging/rpm/pm-native.spec"
    system python3 "$tree/packaging/changelog.py" rpm
} >"$scratch/pm-native.spec"
system rpmbuild --define "_topdir $scratch" -ba "$scratch/pm-native.spec" >"$scratch/log" 2>&1 || {
    cat "$scratch/log" >&2
    exit 1
}
find "$scratch/RPMS" "$scratch/SRPMS" -name '*.rpm' | while read -r file; do
    mv "$file" "$output/"
    echo "$output/${file##*/}"
done
cp "$scratch/pm-native.spec" "$output/"
