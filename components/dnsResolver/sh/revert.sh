#!/bin/sh
# revert.sh REVISION: takes that change back. The timer that arm.sh set runs it where nobody said in time that names
# still resolve, and so does commit.sh where they do not.
# shellcheck source=components/dnsResolver/sh/resolver.sh
. "$(dirname "$0")/resolver.sh"

if [ "$1" = note-servers ]; then
	note_servers
	exit 0
fi
fileset generations "$FILE_SET" | cut -f 1 | grep -qxF -e "$1" || exit 0
for _ in 1 2 3 4 5; do
	if fileset undo "$FILE_SET" "$1"; then
		sh "$here/activate.sh"
		exit 0
	fi
	sleep 2 # An update of these files holds the lock.
done
exit 1
