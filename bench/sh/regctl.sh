#!/bin/sh
# regctl.sh IMAGE: a look at an image by regctl, which has no command of its own for that: its manifests, HEAD of each piece.
set -eu

repository=${1%:*}
# A subshell, because it calls itself.
look() (
	body=$(regctl manifest get --format raw-body "$1")
	for child in $(printf '%s' "$body" | jq -r '.manifests[]?.digest'); do look "$repository@$child"; done
	for blob in $(printf '%s' "$body" | jq -r '.config.digest // empty, .layers[]?.digest'); do
		regctl blob head "$repository" "$blob" >/dev/null
	done
)
look "$1"
