#!/usr/bin/env bash
# yaks on LocalStack's S3 and SQS without Docker: LocalStack from PyPI in a venv, a private Postgres, the function as a worker on the
# queue, two agents with a sidecar each, all in the foreground. Ctrl-C stops it in order. `make localstack` runs this where there is no
# Docker. (Without Docker LocalStack cannot run Lambda functions; the worker is what runs on ECS and Kubernetes.)
#
# LocalStack keeps nothing when it stops, so every start begins with empty data. Logs stay in <data>/log.
#
#   AGENTS               how many (default 2); agent n listens on YAKS_BROKER_PORT + n (default 9092)
#   YAKS_LOCALSTACK_PORT port of LocalStack (default 4566)
#   YAKS_DEV_DATA_DIR    data and logs (default .yaks/localstack)
#   YAKS_BINARIES        folder with the programs (default target/release)
#   YAKS_PYTHON          a Python from 3.10 to 3.13 (default: one is looked for)
#
# Other ports, and everything else that `make up` takes: yaks-dev --help. Its arguments can be given here.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
here=$PWD/localstack
target=${CARGO_TARGET_DIR:-$PWD/target}
venv=$target/localstack/venv
port=${YAKS_LOCALSTACK_PORT:-4566}
endpoint=http://127.0.0.1:$port
binaries=${YAKS_BINARIES:-$target/release}
export AGENTS=${AGENTS:-2} YAKS_DEV_DATA_DIR=${YAKS_DEV_DATA_DIR:-.yaks/localstack}

say() { printf '%-11s %s\n' "$1" "$2"; }

fail() {
    echo "make localstack: $*" >&2
    exit 1
}

# --- LocalStack's own Python ---

# Only one that can make a venv is of use.
usable_python() { "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

find_python() {
    local python
    for python in ${YAKS_PYTHON:-python3.11 python3.12 python3.13 python3.10 python3}; do
        if usable_python "$python"; then
            echo "$python"
            return
        fi
    done
    fail "no usable Python (3.10 to 3.13, with venv): apt-get install python3 python3-venv, or set YAKS_PYTHON"
}

make_venv() {
    local stamp=$venv/installed python
    cat "$here/requirements.txt" "$here/constraints.txt" | cmp -s - "$stamp" && return
    python=$(find_python)
    say localstack "installing it with $python into $venv (a few minutes, once)"
    rm -rf "$venv"
    mkdir -p "$(dirname "$venv")"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" -c "$here/constraints.txt" ||
        fail "pip could not install LocalStack: is a package index reachable?"
    cat "$here/requirements.txt" "$here/constraints.txt" >"$stamp"
}

# --- starting and stopping ---

localstack_pid=
stack_pid=
# What we start ends with this script, however that ends.
leash=(setpriv --pdeathsig)

start_localstack() {
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null &&
        fail "port $port, wanted for LocalStack, is in use: stop what uses it, or set YAKS_LOCALSTACK_PORT to another port"
    local root=$YAKS_DEV_DATA_DIR/localstack log=$YAKS_DEV_DATA_DIR/localstack.log
    rm -rf "$root"
    mkdir -p "$root/tmp"
    root=$(cd "$root" && pwd)
    # In a process group of its own: a Ctrl-C is for us, it has to outlive the agents.
    set -m
    env -u AWS_ENDPOINT_URL ACTIVATE_PRO=0 SERVICES=s3,sqs SKIP_SSL_CERT_DOWNLOAD=1 DISABLE_EVENTS=1 \
        OVERRIDE_IN_DOCKER=0 GATEWAY_LISTEN="127.0.0.1:$port" FILESYSTEM_ROOT="$root" TMPDIR="$root/tmp" \
        "${leash[@]}" KILL "$venv/bin/python" -m localstack.runtime.main >"$log" 2>&1 </dev/null &
    localstack_pid=$!
    set +m
    local deadline=$((SECONDS + 120))
    until curl -fsS -o /dev/null "$endpoint/_localstack/health" 2>/dev/null; do
        kill -0 "$localstack_pid" 2>/dev/null || { tail -n 30 "$log" >&2; fail "LocalStack did not start"; }
        ((SECONDS < deadline)) || { tail -n 30 "$log" >&2; fail "LocalStack was not ready in 2 minutes"; }
        sleep 0.2
    done
    say localstack "$endpoint, log in $log"
    AWS_ENDPOINT_URL=$endpoint PATH=$venv/bin:$PATH "$here/init/resources.sh" >>"$log" 2>&1 ||
        { tail -n 30 "$log" >&2; fail "LocalStack would not make the bucket and the queues"; }
}

start_stack() {
    set -m
    # The worker has its settings from here, but for those that yaks-dev knows.
    YAKS_DEAD_LETTER_QUEUE_URL=$endpoint/000000000000/yaks-events-dead \
        "${leash[@]}" TERM "$binaries/yaks-dev" --aws-endpoint "$endpoint" --event-queue-url "$endpoint/000000000000/yaks-events" "$@" </dev/null &
    stack_pid=$!
    set +m
}

# Passes the signal on; a second one makes yaks-dev kill.
told() { [[ -z $stack_pid ]] || kill -"$1" "$stack_pid" 2>/dev/null || true; }

# Ends what is left, the users before what they use.
stop() {
    local status=$?
    trap - EXIT
    [[ -z $stack_pid ]] || end "$stack_pid" 60
    if [[ -n $localstack_pid ]]; then
        end "$localstack_pid" 20
        say localstack stopped
    fi
    exit "$status"
}

end() {
    local pid=$1 deadline=$((SECONDS + $2))
    kill -TERM "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do
        ((SECONDS < deadline)) || { kill -KILL -- "-$pid" 2>/dev/null || true; return 0; }
        sleep 0.1
    done
}

# Until one of the two ends, which ends the other. A signal ends the wait too, but neither of them.
supervise() {
    while kill -0 "$stack_pid" 2>/dev/null && kill -0 "$localstack_pid" 2>/dev/null; do
        wait -n "$stack_pid" "$localstack_pid" || true
    done
    if kill -0 "$stack_pid" 2>/dev/null; then
        tail -n 30 "$YAKS_DEV_DATA_DIR/localstack.log" >&2
        fail "LocalStack ended by itself, so everything stops; the end of its log is above"
    fi
    local ended=$stack_pid
    stack_pid=
    wait "$ended"
}

command -v setpriv >/dev/null || fail "there is no setpriv: apt-get install util-linux"
command -v curl >/dev/null || fail "there is no curl: apt-get install curl"
[[ -x $binaries/yaks-dev ]] || fail "$binaries/yaks-dev is missing: build it first (make build), or set YAKS_BINARIES"
make_venv
trap stop EXIT
trap 'told INT' INT
trap 'told TERM' TERM
trap 'told HUP' HUP
# Postgres must not remember objects that LocalStack has forgotten.
crates/dev-stack/clean-data.sh
mkdir -p "$YAKS_DEV_DATA_DIR"
start_localstack
start_stack "$@"

supervise
