/** The systemd unit that brings the compose project up at boot. */
export const UNIT = "docker-compose-registry.service";

export const unit = `# Managed by Pulumi: a change made here by hand is undone by the next update.
[Unit]
Description=Container registries (docker compose project in /opt/registry)
Requires=docker.service
After=docker.service network-online.target
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
WorkingDirectory=/opt/registry
ExecStart=/usr/bin/docker compose up --detach --remove-orphans
ExecStop=/usr/bin/docker compose down
TimeoutStartSec=0

[Install]
WantedBy=multi-user.target
`;
