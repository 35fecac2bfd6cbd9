# check-netplan.sh FILE ID SERVERS: a check of the FileSet. Lets netplan read what is staged of FILE beside its other
# files, and ends with 0 where SERVERS, separated by spaces, are what the interface with that ID gets.
# shellcheck shell=sh
root=$(mktemp -d /run/check.XXXXXX)
mkdir "$root/etc"
cp -rp /etc/netplan "$root/etc/"
cp "$(staged "$1")" "$root$1"
status=0
netplan generate --root-dir "$root" || status=$?
seen=$(sed -n 's/^DNS=//p' "$root/run/systemd/network/10-netplan-$2.network" | tr '\n' ' ')
rm -rf "$root"
[ "$status" -eq 0 ] || exit "$status"
[ "$seen" = "$3 " ] || {
	echo "with the other files in /etc/netplan, the name servers of $2 are $seen"
	exit 1
}
