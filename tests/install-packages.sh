#!/bin/sh
# Installs the Debian packages that the integration tests use: MQTT witnesses, a browser, container and network tools.
# Needs root and apt-get; without them it says so, and the tests that need these things say that they skip.
set -u

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "install-packages: not root on a Debian machine; tests that need mosquitto, a browser or nftables may skip"
    exit 0
fi

missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need mosquitto mosquitto
need mosquitto_sub mosquitto-clients
# The benchmarks measure against its daemon; it is where only root looks, and need not run by itself.
[ -x /usr/sbin/mosquitto ] || need mosquitto mosquitto
need debootstrap debootstrap
need openssl openssl
need chromium chromium
need dockerd docker.io
need docker-compose docker-compose
need nft nftables
need ip iproute2
if [ -n "$missing" ]; then
    echo "install-packages: installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # the list is meant to split
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >/tmp/loadgen-apt.log 2>&1 ||
        { tail -5 /tmp/loadgen-apt.log; echo "install-packages: some packages could not be installed"; }
fi
