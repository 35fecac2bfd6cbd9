# check-nginx.sh FOLDER IMAGE: a check of the FileSet. Lets nginx read what is staged of its config and certificate.
# shellcheck shell=sh
docker run --rm --network none \
	--volume "$(staged "$1/nginx.conf"):/etc/nginx/nginx.conf:ro" \
	--volume "$(staged "$1/tls/fullchain.pem"):/etc/nginx/tls/fullchain.pem:ro" \
	--volume "$(staged "$1/tls/privkey.pem"):/etc/nginx/tls/privkey.pem:ro" "$2" nginx -t
