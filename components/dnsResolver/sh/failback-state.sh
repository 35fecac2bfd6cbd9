# failback-state.sh UNIT: prints whether the unit is enabled, and whether it runs.
# shellcheck shell=sh
systemctl is-enabled "$1" || true
systemctl is-active "$1" || true
