# status.sh: prints what runs on a registry VM, and who answers on each port, a line each, tabs between.
# shellcheck shell=sh
here=/opt/registry
[ -f "$here/bounce.env" ] || exit 0
# shellcheck source=/dev/null
. "$here/bounce.env"
tab=$(printf '\t')
docker ps --all --filter "label=com.docker.compose.project=$PROJECT" --format '{{.Names}}\t{{.Image}}\t{{.Status}}' |
	sort | sed "s/^/container$tab/"
printf '%s\n' "$REGISTRIES" | while IFS="$tab" read -r name port hostname; do
	url=http://127.0.0.1:$port/v2/
	[ -z "$hostname" ] || url=https://$hostname:$port/v2/
	answer=$(curl -sS -o /dev/null -D - --max-time 5 --resolve "${hostname:-x}:$port:127.0.0.1" --cacert "$here/tls/fullchain.pem" "$url" 2>&1 | tr -d '\r') || true
	status=$(printf '%s\n' "$answer" | sed -n 's/^HTTP[^ ]* \([0-9]*\).*/\1/p')
	who=$(printf '%s\n' "$answer" | NAME=$IDENTITY_HEADER awk 'index(tolower($0), tolower(ENVIRON["NAME"]) ": ") == 1 { print substr($0, length(ENVIRON["NAME"]) + 3) }')
	printf 'port\t%s\t%s\t%s\t%s\n' "$port" "$name" "${status:-none}" "${who:-nobody}"
done
ends=$(openssl x509 -noout -enddate -in "$here/tls/fullchain.pem" 2>/dev/null) && printf 'certificate\t%s\n' "${ends#notAfter=}"
df -P "$here" | awk 'NR == 2 { print "disk\t" $5 }'
