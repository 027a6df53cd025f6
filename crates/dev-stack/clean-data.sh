#!/bin/sh
# Deletes what `make up` keeps: .yaks, and the Postgres cluster under /var/lib/yaks that .yaks/postgres may be a link to (see
# private-postgres: the user that Postgres runs as could not reach the checkout).
set -eu

data_dir=${YAKS_DEV_DATA_DIR:-.yaks}

if [ -e "$data_dir/lock" ] && command -v flock >/dev/null 2>&1 && ! flock -n "$data_dir/lock" true; then
    echo "a stack runs on $data_dir: stop it first" >&2
    exit 1
fi
if [ -L "$data_dir/postgres" ]; then
    cluster=$(readlink "$data_dir/postgres")
    case $cluster in
    /var/lib/yaks/*)
        rm -rf -- "$cluster"
        rmdir /var/lib/yaks 2>/dev/null || true
        ;;
    esac
fi
rm -rf -- "$data_dir"
