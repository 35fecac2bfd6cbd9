/** The proof that a host fails over to its second name server, and comes back to its first. */
import { type Config, type DnsHost, isRegistryHost } from "../../config.ts";
import { registries } from "../registryVm/registries.ts";
import { resolver } from "./files.ts";
import { askBy } from "./resolver.ts";

/** How long the primary is kept away at most, in seconds: then the host lets it in again by itself. */
const EXPIRES_AFTER = 90;

/** How long internal names may take to be back after the primary is, in seconds. */
const BACK_WITHIN = 60;

/**
 * Drops what the primary server answers the host and its containers, and looks names up meanwhile: the answers that
 * were dropped prove that the resolver asked. On the way out it would be told at once that it may not send, which no
 * dead server does. The block goes when the script ends, however it ends; where it can't, a timer takes it away.
 */
export function failoverDns(config: Config, host: DnsHost): string {
	const { primary, fallback } = host;
	const { internal, external } = config.dns.names;
	const { forget } = resolver(config, host);
	const cache = isRegistryHost(config, host) && registries(config).find(({ kind }) => kind === "cache");
	const container = cache ? cache.service : "";
	const chains = container ? "INPUT FORWARD" : "INPUT"; // What other hosts forward is not theirs: it may be everybody's DNS.
	// One text for what sets it, what takes it away, and what does that where nobody else can.
	const block = (action: "-I" | "-D") =>
		`for chain in ${chains}; do for protocol in udp tcp; do iptables ${action} "$chain" -s ${primary} -p "$protocol" --sport 53 -j DROP; done; done`;
	return `set -eu
fail() {
	echo "$1" >&2
	exit 1
}
${askBy}
# look_up LABEL NAME: by whatever the host's programs use
look_up() {
	begin=$(date +%s%3N)
	answer=$(timeout 30 getent ahostsv4 "$2" | head -n 1 | cut -d ' ' -f 1) || true
	echo "$1: $2 is \${answer:-unknown}, after $(($(date +%s%3N) - begin)) ms"
}
dig_up() {
	command -v dig >/dev/null || return 0
	begin=$(date +%s%3N)
	answer=$(dig +short "$2" | tail -n 1) || true
	echo "$1, by dig: $2 is \${answer:-unknown}, after $(($(date +%s%3N) - begin)) ms"
}
# The same, in a container.
look_up_inside() {
	pid=$(docker inspect --format '{{.State.Pid}}' ${container})
	begin=$(date +%s%3N)
	answer=$(ask_by "$(docker inspect --format '{{.ResolvConfPath}}' ${container})" "$2" nsenter --target "$pid" --net | head -n 1 | cut -d ' ' -f 1) || true
	echo "$1, in ${container}: $2 is \${answer:-unknown}, after $(($(date +%s%3N) - begin)) ms"
}
for program in iptables unshare systemd-run; do
	command -v "$program" >/dev/null || fail "there is no $program here, and this needs it"
done
unblock() {
	${block("-D")} 2>/dev/null || true
	systemctl stop dns-failover.timer 2>/dev/null || true
}
unblock # Of a run that was killed.

for name in ${internal.join(" ")} ${external}; do
	look_up "primary up" "$name"
	[ -n "$answer" ] || fail "$name does not resolve even with the primary up"
done
${container && `look_up_inside "primary up" ${external}\n[ -n "$answer" ] || fail "${external} does not resolve in ${container} even with the primary up"`}
second=$(mktemp /run/dns-failover.XXXXXX)
trap 'rm -f "$second"' EXIT
printf 'nameserver ${fallback}\\noptions timeout:3 attempts:1\\n' >"$second"
ask_by "$second" ${external} >/dev/null || fail "the fallback ${fallback} does not answer for ${external}: there is nothing to fail over to"
for name in ${internal.join(" ")}; do
	if ask_by "$second" "$name" >/dev/null; then
		echo "split horizon: the fallback ${fallback} knows $name, too"
	else
		said=$(command -v dig >/dev/null && dig "@${fallback}" "$name" +time=3 +tries=1 | sed -n 's/.*status: \\([A-Z]*\\),.*/\\1/p') || true
		echo "split horizon: the fallback ${fallback} does not know $name\${said:+ ($said)}; who asks it takes that for the truth"
	fi
done

trap 'unblock; rm -f "$second"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
systemd-run --quiet --collect --unit=dns-failover --on-active=${EXPIRES_AFTER} --timer-property=AccuracySec=1s sh -c \\
	'${block("-D")}'
${block("-I")}
${forget}
look_up "primary down" ${external}
found=$answer
look_up "once more" ${external}
dig_up "primary down" ${external}
look_up "primary down" ${internal[0]}
${container && `${forget}\nlook_up_inside "primary down" ${external}\nfound_inside=$answer`}
dropped() {
	iptables -L "$1" -v -n -x | awk '$3 == "DROP" && $8 == "${primary}" { sum += $1 } END { print sum + 0 }'
}
dropped=$(dropped INPUT)
${container && "dropped_inside=$(dropped FORWARD)"}
unblock
back=$(date +%s)
[ "$dropped" -gt 0 ] || fail "${primary} answered nothing meanwhile that could be dropped, so this proves nothing"
echo "$dropped packets from ${primary} were dropped${container && ", $dropped_inside more on their way to containers (none where Docker asks the host's resolver)"}"
[ -n "$found" ] || fail "${external} did not resolve while the primary was down: there is no failover"
${container && `[ -n "$found_inside" ] || fail "${external} did not resolve in ${container} while the primary was down: there is no failover"`}
until getent ahostsv4 ${internal[0]} >/dev/null; do
	[ "$(($(date +%s) - back))" -lt ${BACK_WITHIN} ] || fail "${internal[0]} does not resolve, although the primary is up again for ${BACK_WITHIN} seconds"
	sleep 1
done
echo "primary up again: ${internal[0]} was back after $(($(date +%s) - back)) s"
${container && `look_up_inside "primary up again" ${internal[0]}\n[ -n "$answer" ] || fail "${internal[0]} does not resolve in ${container}, although the primary is up again"`}`;
}
