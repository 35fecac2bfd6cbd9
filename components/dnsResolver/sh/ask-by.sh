#!/bin/sh
# ask-by.sh FILE NAME: looks a name up as glibc would with FILE as /etc/resolv.conf.
# shellcheck source=components/dnsResolver/sh/resolver.sh
. "$(dirname "$0")/resolver.sh"
ask_by "$@"
