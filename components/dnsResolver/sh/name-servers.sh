# name-servers.sh LINK: prints the name servers and domains that systemd-resolved works with, globally and on the link.
# shellcheck shell=sh
for what in dns domain; do
	# The link's name is plain: config.ts takes no other.
	resolvectl "$what" | sed -n -e '/^Global:/p' -e "s/^Link [0-9]* ($1):/$1:/p"
done
