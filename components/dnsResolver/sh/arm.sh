# arm.sh FOLDER: a hook of the FileSet, the last moment before the files are replaced. Puts aside a copy of what is
# there, and sets a timer that puts it back unless commit.sh stops it in time. FOLDER is where the scripts will be.
# shellcheck shell=sh
armed=/run/dns-resolver
rm -rf "$armed"
mkdir -p "$armed"
for file in resolver.env resolver.sh activate.sh revert.sh; do cp "$(staged "$1/$file")" "$armed/$file"; done

# shellcheck source=/dev/null
. "$armed/resolver.env"
mkdir -p "$BACKUPS"
backup=$BACKUPS/dns-config-backup-$(date -u +%Y%m%dT%H%M%SZ).tar.gz
printf '%s\n' "$FILES" | while IFS="$(printf '\t')" read -r _ path; do
	if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "${path#/}"; fi
done | tar -czf "$backup" -C / --files-from -
sync "$backup" "$BACKUPS"
find "$BACKUPS" -name 'dns-config-backup-*.tar.gz' | sort -r | tail -n "+$((KEPT_BACKUPS + 1))" |
	while IFS= read -r old; do rm -f "$old"; done

sh "$armed/revert.sh" note-servers
systemctl stop dns-revert.timer 2>/dev/null || true
systemctl reset-failed dns-revert.service 2>/dev/null || true
# The FileSet names the revision that the files will have.
# shellcheck disable=SC2154
systemd-run --quiet --collect --unit=dns-revert --on-active="$REVERT_SECONDS" --timer-property=AccuracySec=1s \
	sh "$armed/revert.sh" "$revision"
