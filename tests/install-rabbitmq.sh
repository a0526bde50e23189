#!/bin/sh
# Installs RabbitMQ 4.3 and 4.0 in root folders, side by side, for the tests on real clusters.
# Needs root and apt-get; without them it says so, and the tests that need RabbitMQ say that they skip.
set -u
bin=${1:?usage: install-rabbitmq.sh VENV_BIN}

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "install-rabbitmq: not root on a Debian machine; tests that need RabbitMQ may skip"
    exit 0
fi

for release in 4.3 4.0; do
    { "$bin/loadgen" cluster install --release "$release" || echo "install-rabbitmq: no RabbitMQ $release"; } &
done
wait
