# has-no-manager.sh: ends with 0 unless something on the host writes /etc/resolv.conf by itself.
# shellcheck shell=sh
for unit in systemd-resolved NetworkManager connman; do
	! systemctl --quiet is-active "$unit" || {
		echo "$unit runs"
		exit 1
	}
done
! command -v resolvconf || {
	echo "resolvconf is installed"
	exit 1
}
