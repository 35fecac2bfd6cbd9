# name-servers.sh LINK: prints the name servers and domains that systemd-resolved works with, globally and on the link.
# shellcheck shell=sh
for what in dns domain; do
	resolvectl "$what" | LINK=$1 awk '
		/^Global:/ { print }
		/^Link / && index($0, "(" ENVIRON["LINK"] "):") { print ENVIRON["LINK"] substr($0, index($0, "):") + 1) }'
done
