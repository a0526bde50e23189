#!/bin/sh
# Installs what the integration tests use: MQTT witnesses, a browser, and RabbitMQ 4.3 and 4.0 in root folders.
# Needs root and apt-get; without them it says so, and the tests that need these things say that they skip.
set -u
bin=${1:?usage: install-tools.sh VENV_BIN}

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "install-tools: not root on a Debian machine; tests that need RabbitMQ or mosquitto-clients may skip"
    exit 0
fi

missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need mosquitto_sub mosquitto-clients
need debootstrap debootstrap
need openssl openssl
need chromium chromium
need nft nftables
need dockerd docker.io
need docker-compose docker-compose
if [ -n "$missing" ]; then
    echo "install-tools: installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # the list is meant to split
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >/tmp/loadgen-apt.log 2>&1 ||
        { tail -5 /tmp/loadgen-apt.log; echo "install-tools: some packages could not be installed"; }
fi

for release in 4.3 4.0; do
    "$bin/loadgen" cluster install --release "$release" || echo "install-tools: no RabbitMQ $release"
done
