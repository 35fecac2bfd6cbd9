# unit-state.sh UNIT: prints whether the unit is enabled, and whether it is active.
# shellcheck shell=sh
systemctl is-enabled "$1" || true
systemctl is-active "$1" || true
