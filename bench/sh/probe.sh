#!/bin/sh
# The probe as it was before, from its description: one request after the other by curl and jq, HEAD of each piece.
# URL, USER and PASSWORD are in the environment. Prints each piece that is not there.
set -eu

accept='application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json'
ask() {
	curl --silent --insecure --user "$USER:$PASSWORD" --header "Accept: $accept" "$@"
}
head_of() {
	[ "$(ask --head --output /dev/null --write-out '%{http_code}' "$URL/v2/$1")" = 200 ] || echo "$1"
}
# A subshell, because it calls itself.
look() (
	body=$(ask "$URL/v2/$1/manifests/$2")
	for child in $(printf '%s' "$body" | jq -r '.manifests[]?.digest'); do
		head_of "$1/manifests/$child"
		look "$1" "$child"
	done
	for blob in $(printf '%s' "$body" | jq -r '.config.digest // empty, .layers[]?.digest'); do
		head_of "$1/blobs/$blob"
	done
)
for repository in $(ask "$URL/v2/_catalog?n=1000" | jq -r '.repositories[]'); do
	for tag in $(ask "$URL/v2/$repository/tags/list" | jq -r '.tags[]'); do look "$repository" "$tag"; done
done
