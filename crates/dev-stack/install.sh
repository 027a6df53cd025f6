#!/bin/sh
# Installs what building and running yaks needs beside Rust: a C and C++ compiler and make (librdkafka, zstd, zlib, SQLite and ring are
# built from source), and a Postgres server; kcat too, if it is to be had, for the lines that `make up` prints.
# Does nothing, and asks nothing, when all of it is there. Uses apt as root or through sudo; anything else is left to you.
set -eu

missing=""

need() { missing="$missing $1"; }

# The places where private-postgres looks, see its binaries.rs.
have_postgres() {
    command -v initdb >/dev/null 2>&1 && return 0
    bindir=$(pg_config --bindir 2>/dev/null || true)
    for folder in "$bindir" /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
        /usr/pgsql/bin /usr/local/pgsql/bin /usr/local/bin; do
        if [ -n "$folder" ] && [ -x "$folder/initdb" ]; then
            return 0
        fi
    done
    return 1
}

if ! command -v cargo >/dev/null 2>&1; then
    echo "cargo is not in PATH: install Rust from https://rustup.rs" >&2
    exit 1
fi
if ! command -v cc >/dev/null 2>&1 || ! command -v c++ >/dev/null 2>&1 || ! command -v make >/dev/null 2>&1; then
    need build-essential
fi
have_postgres || need postgresql

wanted=$missing
command -v kcat >/dev/null 2>&1 || wanted="$wanted kcat"

if [ -z "$wanted" ]; then
    exit 0
fi

as_root=""
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        as_root=sudo
    elif [ -z "$missing" ]; then
        exit 0
    else
        echo "missing:$missing. Install it, for example with: sudo apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
fi
if ! command -v apt-get >/dev/null 2>&1; then
    [ -z "$missing" ] && exit 0
    echo "missing:$missing (names of Debian packages). Install it with your system's package manager" >&2
    exit 1
fi
# kcat alone is not worth a password.
if [ -z "$missing" ] && [ -n "$as_root" ] && ! sudo -n true 2>/dev/null; then
    exit 0
fi

install_packages() {
    # shellcheck disable=SC2086 # a list of packages
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
}

# Debian's package makes a cluster of its own and starts it on port 5432; yaks wants the programs only. The setting is taken back, so
# that whoever wants such a cluster later gets it.
conf=/etc/postgresql-common/createcluster.conf
mark="create_main_cluster = false # while yaks installs"
without_cluster() {
    install_packages postgresql-common || return 1
    echo "$mark" | $as_root tee -a "$conf" >/dev/null
    trap with_cluster EXIT
}
with_cluster() { $as_root sed -i "/^$mark\$/d" "$conf"; }

echo "installing$wanted"
$as_root apt-get update -qq </dev/null || echo "apt-get update failed; going on with what apt knows" >&2
case $missing in
*postgresql*) without_cluster || { echo "apt-get could not install postgresql-common" >&2; exit 1; } ;;
esac
for package in $wanted; do
    if ! install_packages "$package"; then
        case " $missing " in
        *" $package "*)
            echo "apt-get could not install $package" >&2
            exit 1
            ;;
        *) echo "apt-get could not install $package; going on without it" >&2 ;;
        esac
    fi
done
