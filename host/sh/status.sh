# status.sh: prints what is owed on a host, when each of its file sets was last verified, and the name servers in use, a
# line each, tabs between.
# shellcheck shell=sh
for set in /var/lib/pulumi-host/*/revisions; do
	[ -d "$set" ] || continue
	records=${set%/revisions}
	for group in "$set"/*; do
		[ -f "$group" ] || continue
		name=${group##*/}
		cmp -s "$group" "$records/verified/$name" || printf 'owed\t%s\t%s\n' "${records##*/}" "$name"
	done
	last=$(cat "$records"/verified/* 2>/dev/null | sort | tail -n 1)
	[ -z "$last" ] || printf 'verified\t%s\t%s\n' "${records##*/}" "$last"
done
for file in /run/systemd/resolve/resolv.conf /etc/resolv.conf; do
	[ -f "$file" ] || continue
	awk '$1 == "nameserver" && !seen[$2]++ { print "resolver\t" $2 }' "$file"
	break
done
