#!/usr/bin/env bash
# The story that every client tells, as far as kcat can: story.sh BOOTSTRAP RUN. Topics come by first use.
set -euo pipefail

bootstrap=$1 run=$2
# shellcheck source-path=SCRIPTDIR source=../said.sh
source "$(dirname "${BASH_SOURCE[0]}")/../said.sh"
topic=$run-story
records=30

kcat_() { timeout 60 kcat -b "$bootstrap" -q "$@"; }

# lines LABEL: what is produced under a label.
lines() { seq 1 "$records" | sed "s/^/$1-/"; }

produce() {
    local label=$1
    shift
    lines "$label" | kcat_ -P -t "$topic" -H "label=$label" "$@"
    lines "$label" >>story
}

consume_by_assign() {
    kcat_ -C -t "$topic" -p 0 -o beginning -e -f '%o %s\n' >found
    same "values" "$(cat story)" "$(cut -d ' ' -f 2 found)"
    same "offsets" "$(seq 0 $((records * 6 - 1)))" "$(cut -d ' ' -f 1 found)"
}

seek_by_time() {
    echo before | kcat_ -P -t "$run-time"
    sleep 0.01
    local between
    between=$(date +%s%3N)
    sleep 0.01
    echo after | kcat_ -P -t "$run-time"
    kcat_ -Q -t "$run-time:0:$between" >offset
    expect "offset" offset 'offset 1$'
    same "from the time on" after "$(kcat_ -C -t "$run-time" -p 0 -o "s@$between" -c 1)"
}

# member GROUP ARGUMENTS...: reads from the start of what nobody has committed.
member() {
    local group=$1
    shift
    kcat_ -G "$group" -X auto.offset.reset=earliest "$@"
}

consume_by_group() {
    member "$run-group" -c $((records * 6)) "$topic" >found
    same "values" "$(cat story)" "$(cat found)"
}

commit_and_resume() {
    member "$run-resume" -c 20 "$topic" >found
    member "$run-resume" -c $((records * 6 - 20)) "$topic" >>found
    same "values" "$(cat story)" "$(cat found)"
}

# The partitions that a member was told of last.
assigned() { sed -n 's/.*): assigned: *//p' "$1" | tail -n 1 | grep -o '\[0\]' | wc -l; }
have() { [[ "$(assigned first) $(assigned second)" == "$1" ]]; }

# Three topics of one partition each, of which the default assignor would give all to one member.
rebalance() {
    local group=$1 three=("$run-a" "$run-b" "$run-c") one other
    local as_member=(-G "$group" -X partition.assignment.strategy=roundrobin "${three[@]}")
    for each in "${three[@]}"; do
        echo record | kcat_ -P -t "$each"
    done
    touch first second
    timeout 120 kcat -b "$bootstrap" "${as_member[@]}" >/dev/null 2>first &
    one=$!
    until_so "the only member has all partitions" have "3 0"
    timeout 120 kcat -b "$bootstrap" "${as_member[@]}" >/dev/null 2>second &
    other=$!
    until_so "two members share the partitions" have_shared
    kill "$other"
    wait "$other" || true
    until_so "the member that stayed has all partitions" has_three first
    kill "$one"
    wait "$one" || true
}
have_shared() { have "1 2" || have "2 1"; }
has_three() { [[ $(assigned "$1") == 3 ]]; }

kcat -V | sed -n 's/^Version \([^ ]*\) .*librdkafka \([^ ]*\) .*/VERSION kcat \1\nVERSION librdkafka \2/p'
skip create-topic "kcat has no admin calls: the topic comes by first use"
feature produce-none produce none
for codec in gzip snappy lz4 zstd; do
    feature "produce-$codec" produce "$codec" -z "$codec"
done
feature produce-idempotent produce idempotent -X enable.idempotence=true
feature consume-assign consume_by_assign
feature seek-by-time seek_by_time
feature consume-group consume_by_group
feature commit-resume commit_and_resume
feature rebalance rebalance "$run-rebalance"
skip consumer-protocol "this kcat's librdkafka does not have it"
for admin in configs create-partitions delete-records groups group-offsets delete-topic; do
    skip "$admin" "kcat has no admin calls"
done
