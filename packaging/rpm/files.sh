#!/bin/sh
# The files of a build root beside Python's modules, as %files wants them: files.sh BUILDROOT PREFIX
# Manual pages end in a pattern, since they are compressed afterwards on some distributions.
set -eu
cd "$1"
find ".$2" -type f -not -path '*/site-packages/*' -not -path "*/share/pm-native/*" -not -path '*/__pycache__/*' |
    sed -e 's/^\.//' -e '/\/man\/man/s/$/*/' | sort
