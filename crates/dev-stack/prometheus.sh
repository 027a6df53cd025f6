#!/bin/sh
# Puts Debian's Prometheus below the folder named (usr/bin/prometheus in it), for the test of the dashboard. Unpacked, not installed: the
# package would start a server of its own on a port that is an agent's.
set -eu

folder=$1
if [ -x "$folder/usr/bin/prometheus" ] || command -v prometheus >/dev/null 2>&1; then
    exit 0
fi
mkdir -p "$folder"
cd "$folder"
apt-get download -qq prometheus
dpkg-deb -x prometheus_*.deb .
rm prometheus_*.deb
