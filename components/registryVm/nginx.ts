import { debugUrl, type Registry } from "./registries.ts";

/**
 * `nginx.conf`: one server a registry. Upstreams are the services' fixed addresses, so there is no name
 * that could go stale: whatever is recreated, by whomever, an address is never another registry's.
 */
export function nginx(all: Registry[]): string {
	return `# Managed by Pulumi: a change made here by hand is undone by the next update.
worker_processes auto;
events { worker_connections 2048; }

http {
	# A line of JSON a request, so that they can be counted by any field.
	log_format requests escape=json '{"time":"$time_iso8601","client":"$remote_addr","port":"$server_port",'
		'"method":"$request_method","uri":"$request_uri","status":"$status","bytes":"$body_bytes_sent",'
		'"seconds":"$request_time","upstream":"$upstream_addr","upstream_seconds":"$upstream_response_time",'
		'"cache":"$upstream_cache_status","agent":"$http_user_agent"}';
	# The last byte of a layer is what the probe asks for, of each, at each run: its lines would push out all others.
	map "$status:$body_bytes_sent" $is_logged { "206:1" 0; default 1; }
	access_log /dev/stdout requests if=$is_logged;
	error_log /dev/stderr warn;
	server_tokens off;

	client_max_body_size 0;
	proxy_request_buffering off;
	client_body_timeout 900s;
	proxy_connect_timeout 10s;
	proxy_read_timeout 900s;
	proxy_send_timeout 900s;
	send_timeout 900s;

	proxy_http_version 1.1;
	proxy_set_header Connection "";
	proxy_set_header Host $http_host;
	proxy_set_header X-Real-IP $remote_addr;
	proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
	proxy_set_header X-Forwarded-Proto $scheme;

	proxy_cache_path /var/cache/nginx/blobs levels=1:2 keys_zone=blobs:32m max_size=50g inactive=24h use_temp_path=off;
${all.map(upstream).join("")}${all.map(server).join("")}}
`;
}

function upstream({ service, address }: Registry): string {
	return `
	upstream ${service} {
		server ${address}:5000;
		keepalive 16;
	}
`;
}

function server(registry: Registry): string {
	return registry.kind === "cache" ? cacheServer(registry) : privateServer(registry);
}

function cacheServer(registry: Registry & { kind: "cache" }): string {
	const { service, port } = registry;
	return `${metricsServer(registry)}
	server {
		listen ${port};
${health}
		location / {
			proxy_pass http://${service};
		}

		# Blobs never change. HEAD is kept apart, or nginx would fetch the whole blob to answer it.
		location ~ ^/v2/.+/blobs/sha256:[0-9a-f]+$ {
			proxy_pass http://${service};
			proxy_cache blobs;
			proxy_cache_key $request_method:${service}:$uri;
			proxy_cache_convert_head off;
			proxy_cache_valid 200 24h;
			proxy_cache_lock on;
			# However slow the upstream is, nobody else asks it for the same blob meanwhile: by default, they do after 5 s.
			proxy_cache_lock_age 900s;
			proxy_cache_lock_timeout 900s;
			proxy_cache_use_stale updating;
			# A registry that fetches a blob from its upstream does not offer ranges; a client that goes on with a pull wants them.
			proxy_force_ranges on;
		}
	}
`;
}

/** Whether nginx itself serves, for who asks every few seconds; it says nothing of the registry behind it. */
const health = `
		location = /healthz {
			access_log off;
			default_type text/plain;
			return 200 "ok\\n";
		}
`;

/** The registry's debug server also shows its memory, passwords included, to whoever asks. */
function metricsServer(registry: Registry & { kind: "cache" }): string {
	const { metricsPort } = registry;
	if (metricsPort === undefined) return "";
	return `
	server {
		listen ${metricsPort};

		location = /metrics {
			limit_except GET { deny all; }
			proxy_pass ${debugUrl(registry)};
			# The one format to which the VM's own can be added.
			proxy_set_header Accept "text/plain; version=0.0.4";
			proxy_set_header Accept-Encoding "";
			addition_types *;
			add_after_body /vm.prom;
		}

		location = /vm.prom {
			internal;
			root /etc/nginx/metrics;
			try_files $uri @none;
		}

		# Nothing was measured yet. A page that says so would be none that Prometheus reads.
		location @none {
			return 200 "";
		}

		location / {
			return 404;
		}
	}
`;
}

function privateServer({ service, port, hostname }: Registry & { kind: "private" }): string {
	return `
	# Never cached: a check of what is stored must reach what is stored.
	server {
		listen ${port} ssl;
		server_name ${hostname};
		ssl_certificate /etc/nginx/tls/fullchain.pem;
		ssl_certificate_key /etc/nginx/tls/privkey.pem;
		ssl_protocols TLSv1.2 TLSv1.3;
		# What is pushed and pulled here may be large, and is not kept: it goes through without touching the disk.
		proxy_buffering off;
${health}
		location / {
			proxy_pass http://${service};
		}
	}
`;
}
