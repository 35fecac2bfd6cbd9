# What the scripts beside this one share. Each of them is run as `sh SCRIPT`, and begins by reading this file.
# shellcheck shell=sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=/dev/null
. "$here/resolver.env"

fail() {
	printf '%s\n' "$1" >&2
	exit 1
}

fileset() {
	sh /var/lib/pulumi-host/fileset.sh "$@"
}

# ask_by FILE NAME [COMMAND ...]: looks a name up as glibc would with FILE as resolv.conf, within COMMAND.
ask_by() {
	file=$1 name=$2
	shift 2
	# The words are for the inner shell.
	# shellcheck disable=SC2016
	"$@" unshare --mount sh -c 'mount --bind "$1" "$(readlink -f /etc/resolv.conf)" && exec getent -s dns ahostsv4 "$2"' sh "$file" "$name"
}

# Docker hands a container the servers in the host's /etc/resolv.conf when it starts, and never others. So it is noted
# what they are, and, by the file's time, since when; until the first change, since always. Where that file is
# systemd-resolved's stub, they never change.
servers_file=/var/lib/pulumi-host/$FILE_SET/servers

servers() {
	grep ^nameserver /etc/resolv.conf
}

note_servers() {
	[ -n "$CONTAINERS" ] || return 0
	mkdir -p "$(dirname "$servers_file")"
	[ -f "$servers_file" ] || { servers >"$servers_file" && touch -d @0 "$servers_file"; }
}

stop_timer() {
	systemctl stop dns-revert.timer 2>/dev/null || true
}
