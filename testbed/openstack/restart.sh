#!/bin/bash
# Restarts services of the running cloud: ./restart.sh nova-api neutron-server keystone-api
# (the names are those of the pid files in $OPENSTACK_REAL_DIR/run). It returns when all APIs answer.

set -euo pipefail
source "$(dirname "$0")/up.sh"

for name in "$@"; do
    is_running "$name" || die "there is no running service $name"
done
umask 077
export HOME=$S/home
for name in "$@"; do stop_service "$name"; done
start_keystone
start_services
