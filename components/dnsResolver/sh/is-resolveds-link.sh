# is-resolveds-link.sh FILE: ends with 0 where FILE leads to a file of systemd-resolved.
# shellcheck shell=sh
case $(readlink -f "$1") in
/run/systemd/resolve/*) ;;
*) ls -l "$1" && exit 1 ;;
esac
