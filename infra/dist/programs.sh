#!/usr/bin/env bash
# Builds the programs that run in containers, as they are deployed: the images' build step, and the first half of `make dist`.
#
#   infra/dist/programs.sh FOLDER   puts yaks-agent, yaks-cache and yaks-oracle there
#   YAKS_COMMIT                     the commit that they name (default: git is asked)
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${1:?the folder to put the programs into}
YAKS_COMMIT=${YAKS_COMMIT:-$(git describe --always --dirty --abbrev=12 --exclude='*')}
export YAKS_COMMIT

cargo build --locked --profile dist -p agent -p cache-sidecar -p oracle
mkdir -p "$out"
for program in yaks-agent yaks-cache yaks-oracle; do
    install "${CARGO_TARGET_DIR:-target}/dist/$program" "$out"
    "$out/$program" --version
done
