# check-nginx.sh IMAGE FOLDER [FILE ...]: a check of the FileSet. Lets nginx read what is staged of its config and of these
# files, its certificate and key.
# shellcheck shell=sh
image=$1 folder=$2
shift 2
for file in "$@"; do
	set -- "$@" --volume "$(staged "$folder/$file"):/etc/nginx/$file:ro"
	shift
done
docker run --rm --network none --volume "$(staged "$folder/nginx.conf"):/etc/nginx/nginx.conf:ro" "$@" "$image" nginx -t
