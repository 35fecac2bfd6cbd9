#!/bin/sh
# screenshot.sh URL FILE [WIDTH,HEIGHT]: what a browser shows of a page of the lab, as a PNG. Chromium is installed where
# Debian's root runs this.
set -eu
url=$1 file=$2 size=${3:-1200,800}
if ! command -v chromium >/dev/null; then
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
		echo "this machine lacks chromium; install it, or run this as root on Debian" >&2
		exit 1
	fi
	apt-get update -q
	apt-get install -q -y --no-install-recommends chromium fonts-dejavu-core
fi >&2
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
mkdir -p "$(dirname "$file")"
rm -f "$file"
# A page has as long as it needs by its own clock, which runs ahead while it waits for nothing. No sandbox: root has none,
# and the page is the lab's own.
chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
	--disable-component-update --disable-sync --user-data-dir="$profile" --hide-scrollbars --window-size="$size" \
	--virtual-time-budget=8000 --screenshot="$file" "$url" >"$profile/said" 2>&1 || true
[ -s "$file" ] || {
	echo "chromium made no picture of $url: $(cat "$profile/said")" >&2
	exit 1
}
