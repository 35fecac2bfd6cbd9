#!/bin/sh
# activate.sh: makes live what the files say. Where /etc/resolv.conf is a plain file, it already is.
# shellcheck source=components/dnsResolver/sh/resolver.sh
. "$(dirname "$0")/resolver.sh"

[ "$KIND" = resolved ] || exit 0
netplan generate
networkctl reload
systemctl daemon-reload
if [ -e "/etc/systemd/system/$FAILBACK_UNIT" ]; then
	systemctl --quiet enable "$FAILBACK_UNIT"
	systemctl restart "$FAILBACK_UNIT"
else
	systemctl stop "$FAILBACK_UNIT" 2>/dev/null || true
	rm -f "/etc/systemd/system/"*".wants/$FAILBACK_UNIT"
fi
systemctl reset-failed systemd-resolved 2>/dev/null || true # systemd would refuse the fifth restart in ten seconds.
systemctl restart systemd-resolved
