# is-managed-link.sh LINK: ends with 0 where systemd-networkd configures that interface.
# shellcheck shell=sh
networkctl list --no-legend "$1" | grep -E ' configur(ed|ing) *$' || {
	networkctl list "$1"
	exit 1
}
