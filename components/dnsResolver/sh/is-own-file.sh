# is-own-file.sh FILE: ends with 0 unless FILE is a link.
# shellcheck shell=sh
[ ! -L "$1" ] || {
	echo "it is a link to $(readlink "$1")"
	exit 1
}
