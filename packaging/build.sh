#!/bin/sh
# Builds the Debian package or the RPM of this checkout as it is, source and binary: packaging/build.sh deb|rpm DIRECTORY
# The same checkout makes the same .deb, byte for byte. What it needs: bootstrap.sh packages.
set -eu
checkout=$(cd "$(dirname "$0")/.." && pwd)
kind=$1
umask 022
mkdir -p "$2"
output=$(cd "$2" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The system's own Python, whatever else is on PATH: another one has not the build backend of the distribution.
system() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent LANG=C.UTF-8 SOURCE_DATE_EPOCH="${epoch:-0}" "$@"
}
changelog() { system python3 "$checkout/packaging/changelog.py" "$1"; }
quietly() { system "$@" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2 && exit 1; }; }

version=$(changelog version)
epoch=$(changelog epoch)
tree=$scratch/pm-native-$version
source=$scratch/pm-native-$version.tar.gz
"$checkout/packaging/tree.sh" "$tree"
tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$epoch" --directory "$scratch" \
    "pm-native-$version" | gzip --no-name --best >"$source"

case $kind in
deb)
    mv "$source" "$scratch/pm-native_$version.orig.tar.gz"
    cp -r "$tree/packaging/debian" "$tree/debian"
    changelog debian >"$tree/debian/changelog"
    cd "$tree"
    quietly dpkg-buildpackage --unsigned-source --unsigned-changes
    set -- "$scratch"/pm-native_*
    ;;
rpm)
    {
        sed "s/@VERSION@/$version/" "$tree/packaging/rpm/pm-native.spec"
        changelog rpm
    } >"$scratch/pm-native.spec"
    touch --date="@$epoch" "$source" "$scratch/pm-native.spec"
    quietly rpmbuild --define "_topdir $scratch/rpm" --define "_sourcedir $scratch" --define "_buildhost localhost" \
        --define "use_source_date_epoch_as_buildtime 1" --define "clamp_mtime_to_source_date_epoch 1" \
        -ba "$scratch/pm-native.spec"
    set -- "$scratch"/rpm/RPMS/*/*.rpm "$scratch"/rpm/SRPMS/*.rpm "$scratch/pm-native.spec"
    ;;
*)
    echo "which kind of package, deb or rpm?" >&2
    exit 64
    ;;
esac

for file; do
    mv "$file" "$output/"
    echo "$output/${file##*/}"
done
