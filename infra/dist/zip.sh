#!/usr/bin/env bash
# Builds the function's zip for provided.al2023 with cargo-lambda, which links against an older glibc by way of zig. Both come from PyPI,
# into a venv.
#
#   infra/dist/zip.sh FOLDER   puts materializer.zip there, with the authorities of RDS beside the program
#   YAKS_LAMBDA_ARCH           x86_64 or arm64 (default: this machine's); the other one needs `rustup target add`
#   YAKS_COMMIT                the commit that it names (default: git is asked)
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${1:?the folder to put materializer.zip into}
target=${CARGO_TARGET_DIR:-target}
venv=$target/dist-tools
YAKS_COMMIT=${YAKS_COMMIT:-$(git describe --always --dirty --abbrev=12 --exclude='*')}
export YAKS_COMMIT

case ${YAKS_LAMBDA_ARCH:-$(uname -m)} in
x86_64) arch=--x86-64 ;;
arm64 | aarch64) arch=--arm64 ;;
*) echo "YAKS_LAMBDA_ARCH: x86_64 or arm64" >&2 && exit 1 ;;
esac

if ! cmp -s infra/dist/requirements.txt "$venv/requirements.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r infra/dist/requirements.txt
    cp infra/dist/requirements.txt "$venv"
fi
# By its full path: the programs find each other through PATH.
venv=$(cd "$venv" && pwd)
export PATH=$venv/bin:$PATH

cargo lambda build --locked --profile lambda --output-format binary "$arch" -p materializer-fn --bin yaks-materializer
mkdir -p "$out"
python3 infra/dist/pack.py "$out/materializer.zip" "$target/lambda/yaks-materializer/bootstrap" infra/dist/rds-global-bundle.pem
