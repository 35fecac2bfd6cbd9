#!/bin/sh
# rollback.sh [BACKUP]: puts back what a backup has, by rename, and takes away what it does not have. Without a name, the
# newest one in /root/dns-backups. Prints which one it was.
# shellcheck source=components/dnsResolver/sh/resolver.sh
. "$(dirname "$0")/resolver.sh"
tab=$(printf '\t')

cd "$BACKUPS" 2>/dev/null || fail "there are no backups: nothing was ever changed there"
backup=${1-}
[ -n "$backup" ] || backup=$(find . -name 'dns-config-backup-*.tar.gz' | sort | tail -n 1)
backup=${backup##*/}
[ -f "$backup" ] || fail "there is no backup $backup; there are: $(find . -name 'dns-config-backup-*.tar.gz' | sort | sed 's,^\./,,' | tr '\n' ' ')"
stop_timer
folder=$(mktemp -d /run/dns-rollback.XXXXXX)
trap 'rm -rf "$folder"' EXIT
tar -xpzf "$backup" -C "$folder"
while IFS="$tab" read -r kind path; do
	if [ -e "$folder$path" ] || [ -L "$folder$path" ]; then
		cp -pP "$folder$path" "$path.rollback"
		mv -fT "$path.rollback" "$path"
	elif [ "$kind" = whole ]; then
		rm -f "$path"
	fi
done <<EOF_FILES
$FILES
EOF_FILES
sh "$here/activate.sh"
echo "put back $backup"
timeout 30 getent ahosts -- "$EXTERNAL" >/dev/null || fail "but $EXTERNAL does not resolve with it"
