#!/usr/bin/env bash
# `make infra-test`: is infra/ well formed, does it deploy on an emulated AWS, and do the real programs work with what it renders? No
# account is needed, and none is touched. README.md, next to modules/, says what this proves and what it cannot.
#
#   YAKS_BINARIES      folder with yaks-agent, yaks-cache and yaks-materializer (default target/debug; built when missing)
#   YAKS_TF_PROVIDERS  a filesystem mirror with hashicorp/aws, for machines that cannot reach the registry (default: it is looked for)
#
# Without terraform or its AWS provider nothing is tested, which is said aloud, and is a failure when CI=true.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
infra=$PWD/infra
work=$PWD/target/infra-test
binaries=${YAKS_BINARIES:-$PWD/target/debug}
calls=$work/calls.jsonl
mkdir -p "$work"

say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

skip() {
    [[ ${CI:-} == true ]] && fail "$*"
    echo "SKIPPED, nothing of infra/ was tested: $*"
    exit 0
}

# --- what is needed ---

command -v terraform >/dev/null || skip "there is no terraform (1.11 or newer) in PATH"
python3 -c 'import ensurepip, venv' 2>/dev/null || skip "there is no python3 with venv (Debian: python3-venv)"
command -v kcat >/dev/null || skip "there is no kcat"

# The folder of a mirror, from the place of a provider in it: <mirror>/registry.terraform.io/hashicorp/aws/<version>/<platform>/<file>
find_mirror() {
    local found
    found=$(find / -xdev -type f -name 'terraform-provider-aws_v5*' -path '*/registry.terraform.io/hashicorp/aws/*' \
        -not -path '*/.terraform/*' -not -path "$PWD/*" -print -quit 2>/dev/null || true)
    [[ -n $found ]] && echo "${found%%/registry.terraform.io/*}"
}

mirror=${YAKS_TF_PROVIDERS:-$(find_mirror || true)}
export TF_CLI_CONFIG_FILE=$work/terraform.rc
if [[ -n $mirror ]]; then
    printf 'provider_installation {\n  filesystem_mirror {\n    path = "%s"\n  }\n}\n' "$mirror" >"$TF_CLI_CONFIG_FILE"
else
    : >"$TF_CLI_CONFIG_FILE"
fi

# Nothing here may reach a real account.
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
unset AWS_SESSION_TOKEN AWS_PROFILE
export PYTHONDONTWRITEBYTECODE=1
export TF_IN_AUTOMATION=1 TF_INPUT=0 CHECKPOINT_DISABLE=1
# Two of each run at a time: less memory is worth the CPU.
export GOGC=50
export TF_VAR_agent_image=123456789012.dkr.ecr.us-east-1.amazonaws.com/yaks/agent:test
export TF_VAR_cache_image=123456789012.dkr.ecr.us-east-1.amazonaws.com/yaks/cache:test
export TF_VAR_materializer_zip=$work/materializer.zip

python() { "$work/venv/bin/python" "$@"; }

make_venv() {
    local stamp=$work/venv/requirements.txt
    cmp -s "$infra/test/requirements.txt" "$stamp" && return
    rm -rf "$work/venv"
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$infra/test/requirements.txt"
    cp "$infra/test/requirements.txt" "$stamp"
}

have_programs() { [[ -x $binaries/yaks-agent && -x $binaries/yaks-cache && -x $binaries/yaks-materializer ]]; }

# --- terraform ---

# A copy per profile: state and provider do not belong into the sources, and the emulated S3 has its buckets in the path.
copy() {
    local to=$work/$1
    rm -rf "$to"
    mkdir -p "$to"
    cp -r "$infra"/*.tf "$infra/modules" "$infra/profiles" "$to"
    printf 'provider "aws" {\n  s3_use_path_style = true\n}\n' >"$to/test_override.tf"
    if [[ -d $work/initialized/.terraform ]]; then
        cp -r "$work/initialized/.terraform" "$work/initialized/.terraform.lock.hcl" "$to"
    fi
}

# terraform in <copy>, its words in a file that is shown when it fails.
tf() {
    local copy=$1 log=$work/$1-$2.log
    shift
    timeout 600 terraform -chdir="$work/$copy" "$@" -no-color >"$log" 2>&1 && return
    local status=$?
    grep -v -e '^$' -e ': Refreshing' -e ': Read' -e ': Creat' -e ': Still' "$log" | tail -n 60 >&2
    return $status
}

no_change() {
    local status=0
    tf "$1" plan -detailed-exitcode "${@:2}" || status=$?
    ((status != 2)) || fail "$1: a second plan shows changes"
    return $status
}

show() { terraform -chdir="$work/$1" show -json terraform.tfstate >"$work/$1.json"; }

check() { python "$infra/test/check.py" "$@"; }

# --- dev: deployed, used by the real programs, changed, destroyed ---

dev() {
    local profile=(-var name=dev -var-file=profiles/dev.tfvars)
    # A collector's 256 MB are more than the smallest task has left.
    local larger=(-var 'agents={min=1,max=2,cpu=512,memory_mb=3072,cache_memory_mb=256,cache_disk_gib=10}')
    copy dev
    tf dev apply -auto-approve "${profile[@]}"
    no_change dev "${profile[@]}"
    show dev
    say "dev: applied, and a second plan shows no change"
    too_many_connections_are_refused "${profile[@]}"
    refused 'tasks reach your own ECR only' "${profile[@]}" "${larger[@]}" -var collector=true
    refused '256 MB for a collector' "${profile[@]}" -var collector=true
    check words "$work/dev.json"
    check cost "$work/dev.json" dev
    rm -rf "$work/run"
    check run "$work/dev.json" "$binaries" "$work/run" "$work/roles.json"
    check policies "$work/dev.json" "$calls" "$work/roles.json"
    say "dev: the programs have run"

    # Another way of everything that has two, on the running deployment.
    local other=("${profile[@]}" -var event_source=s3 -var commit_path=invoke -var egress=nat -var architecture=x86 -var advertise=zone
        "${larger[@]}" -var collector=true)
    tf dev apply -auto-approve "${other[@]}"
    no_change dev "${other[@]}"
    show dev
    check words "$work/dev.json"
    check policies "$work/dev.json" "$calls" "$work/roles.json"
    say "dev: changed to s3, invoke, nat, x86, zone, collector"
    express "${other[@]}"

    tf dev destroy -auto-approve "${other[@]}"
    is_gone dev
    say "dev: destroyed"
}

# Planned over what runs, so that a plan knows names and rules; no emulator has such buckets.
express() {
    refused 'needs event_source = "none"' "$@" -var storage_class=express
    refused 'needs commit_path = "invoke"' "$@" -var storage_class=express -var event_source=none -var commit_path=event
    refused 'needs zones = 1' "$@" -var storage_class=express -var event_source=none -var zones=2
    tf dev plan -out=express.plan "$@" -var storage_class=express -var event_source=none
    terraform -chdir="$work/dev" show -json express.plan >"$work/express.json"
    check express "$work/express.json" "$calls" "$work/roles.json"
    say "dev: S3 Express planned"
}

too_many_connections_are_refused() { refused 'database.max_connections is 120' "$@" -var function_concurrency=40; }

# refused WORDS VARIABLES...: no plan is made with them, and this is why.
refused() {
    local why=$1 log=$work/refused.log
    ! terraform -chdir="$work/dev" plan -refresh=false -no-color "${@:2}" >"$log" 2>&1 || fail "planned, and should be refused: $why"
    # Its words are wrapped.
    tr '\n' ' ' <"$log" | grep -qF "$why" || { cat "$log" >&2; fail "refused for another reason than: $why"; }
}

# --- three-zone, at the same time: most of it is waiting for what takes its time ---

three_zone() {
    local profile=(-var name=three -var-file=profiles/three-zone.tfvars)
    copy three-zone
    tf three-zone apply -auto-approve "${profile[@]}"
    no_change three-zone "${profile[@]}"
    show three-zone
    say "three-zone: applied, and a second plan shows no change"
    # It is protected; so this is how infra/README.md has it destroyed.
    local other=("${profile[@]}" -var protect=false -var event_source=eventbridge -var commit_path=inline -var 'scrape_cidrs=["10.92.0.0/16"]'
        -var collector=true -var "collector_image=${TF_VAR_agent_image/agent:test/collector:v1}")
    tf three-zone apply -auto-approve "${other[@]}"
    no_change three-zone "${other[@]}"
    cp "$work/three-zone.json" "$work/three-zone-sqs.json"
    show three-zone
    check words "$work/three-zone.json"
    say "three-zone: changed to eventbridge, inline, collector"
    tf three-zone destroy -auto-approve "${other[@]}"
    is_gone three-zone
    say "three-zone: destroyed"
}

is_gone() { [[ -z $(terraform -chdir="$work/$1" state list) ]] || fail "$1: something is left after destroy"; }

# --- the emulated AWS ---

start_aws() {
    local port
    port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    export AWS_ENDPOINT_URL=http://127.0.0.1:$port
    rm -f "$calls"
    # Not through the function above: its process would be a shell, and outlived by what it runs.
    "$work/venv/bin/python" "$infra/test/aws.py" "$port" "$calls" >"$work/aws.log" 2>&1 &
    aws_pid=$!
    until curl -fsS -o /dev/null "$AWS_ENDPOINT_URL/moto-api/data.json" 2>/dev/null; do
        kill -0 "$aws_pid" 2>/dev/null || { cat "$work/aws.log" >&2; fail "moto did not start"; }
        sleep 0.2
    done
}

aws_pid=
dev_pid=
clean_up() {
    local status=$?
    trap - EXIT
    [[ -z $dev_pid ]] || kill -- "-$dev_pid" 2>/dev/null || true
    [[ -z $aws_pid ]] || kill "$aws_pid" 2>/dev/null || true
    wait 2>/dev/null || true
    exit "$status"
}

say "terraform fmt and validate"
terraform fmt -check -diff -recursive "$infra"
copy initialized
if ! tf initialized init; then
    [[ -n $mirror ]] && fail "terraform init with the providers of $mirror"
    skip "the AWS provider is neither on this machine nor to be had from registry.terraform.io"
fi
tf initialized validate

say "moto"
make_venv
have_programs || nice cargo build -p agent -p cache-sidecar -p materializer-fn
have_programs || fail "there are no programs in $binaries"
# Terraform wants a file; nobody runs it here.
python -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1], "w").writestr("bootstrap", "")' "$TF_VAR_materializer_zip"
trap clean_up EXIT
start_aws

# In a process group of its own, so that all of it can be ended.
set -m
dev &
dev_pid=$!
set +m
three_zone
wait "$dev_pid" || fail "dev"
dev_pid=
for state in three-zone-sqs three-zone; do
    check policies "$work/$state.json" "$calls" "$work/roles.json"
done
check cost "$work/three-zone-sqs.json" three-zone
check words "$work/three-zone-sqs.json"
say "passed"
