# check-unit.sh PATH: a check of the FileSet. Lets systemd read what is staged of that unit.
# shellcheck shell=sh
folder=$(mktemp -d /run/check.XXXXXX)
cp "$(staged "$1")" "$folder/$(basename "$1")"
status=0
systemd-analyze verify "$folder/$(basename "$1")" || status=$?
rm -rf "$folder"
exit "$status"
