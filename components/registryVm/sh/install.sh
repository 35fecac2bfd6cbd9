# install.sh UNIT [PACKAGE ...]: a remedy of the FileSet, for Debian and Ubuntu. Starts the unit where it is there, else
# installs the first of the packages that can be had; UNIT is empty where none belongs to them. The package lists are
# fetched only where the ones that are there do not do. Nothing is ever removed: Debian's Docker would take the place of
# Docker's own.
# shellcheck shell=sh
unit=$1
shift
if [ -n "$unit" ] && systemctl cat "$unit" >/dev/null 2>&1; then
	systemctl enable --now "$unit"
	exit 0
fi
command -v apt-get || { echo "there is no apt-get to install it with" && exit 1; }

install() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install --yes --no-remove --no-install-recommends "$1"
}

for package in "$@"; do
	install "$package" || { apt-get -q -o DPkg::Lock::Timeout=300 update && install "$package"; } || continue
	[ -z "$unit" ] || systemctl enable --now "$unit"
	exit 0
done
exit 1
