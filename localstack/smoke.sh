#!/usr/bin/env bash
# Checks a running `make localstack`: the oracle writes and reads through both agents, and the event queue and its dead-letter queue are
# empty after; then the same while a sidecar is killed, because agents read S3 themselves where it is gone. The sidecar is started again.
# At last a message that is no event has to end in the dead-letter queue, which is emptied.
#
#   BROKERS                what to bootstrap from (default: both agents of the host mode, or nginx of the compose file)
#   YAKS_LOCALSTACK_PORT   port of LocalStack (default 4566)
#   YAKS_DEV_PORT          the host mode's own port (default 4567)
#   YAKS_BINARIES          folder with yaks-oracle (default: it is built, or with Docker taken from its image)
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
sqs=http://127.0.0.1:${YAKS_LOCALSTACK_PORT:-4566}
own=http://127.0.0.1:${YAKS_DEV_PORT:-4567}
work=$(mktemp -d)
oracle_pid=

say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

clean_up() {
    [[ -z $oracle_pid ]] || kill "$oracle_pid" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

# --- what runs here ---

compose() { docker compose -f localstack/compose.yaml "$@"; }

mode=
if curl -fsS "$own/processes" 2>/dev/null | grep -q '^sidecar-0 '; then
    mode=host
    BROKERS=${BROKERS:-localhost:9092,localhost:9093}
elif command -v docker >/dev/null && [[ -n $(compose ps --quiet agent-0 2>/dev/null) ]]; then
    mode=docker
    BROKERS=${BROKERS:-localhost:9092}
else
    fail "nothing runs: start it with make localstack, in another terminal (or set YAKS_DEV_PORT)"
fi

oracle() {
    if [[ -n ${YAKS_BINARIES:-} ]]; then
        "$YAKS_BINARIES/yaks-oracle" --brokers "$BROKERS" --data-dir "$work"
    elif [[ $mode == docker ]]; then
        compose run --rm --no-TTY oracle --brokers "$BROKERS"
    else
        cargo run --release -q -p oracle -- --brokers "$BROKERS" --data-dir "$work"
    fi
}

sidecar() {
    if [[ $mode == docker ]]; then
        compose "$1" sidecar-0
    else
        curl -fsS -X POST "$own/sidecars/0/$1"
    fi
}

# --- the queues ---

# A request about a queue, and more fields of it. LocalStack checks no signature.
ask_sqs() {
    curl -fsS "$sqs/" -H 'content-type: application/x-amz-json-1.0' -H "x-amz-target: AmazonSQS.$1" \
        -H 'authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0' \
        -d "{\"QueueUrl\": \"$sqs/000000000000/$2\"${3:+, $3}}"
}

# Messages that wait, and messages that somebody has in hand.
messages() {
    local answer
    answer=$(ask_sqs GetQueueAttributes "$1" '"AttributeNames": ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]')
    grep -o '"[0-9][0-9]*"' <<<"$answer" | tr -d '"' | awk '{ sum += $1 } END { print sum + 0 }'
}

# What failed once comes back after a minute, so that much is waited for.
queues_are_empty() {
    local deadline=$((SECONDS + 150)) left
    until left=$(messages yaks-events) && [[ $left == 0 ]]; do
        ((SECONDS < deadline)) || fail "$left messages are left in the event queue"
        sleep 1
    done
    left=$(messages yaks-events-dead)
    [[ $left == 0 ]] || fail "$left messages lie in the dead-letter queue"
    echo "the event queue and its dead-letter queue are empty"
}

# In the dead-letter queue, as it came and with the reason, and nowhere else.
poison_is_a_dead_letter() {
    local letter
    ask_sqs SendMessage yaks-events '"MessageBody": "no event"' >/dev/null
    letter=$(ask_sqs ReceiveMessage yaks-events-dead '"WaitTimeSeconds": 20, "MessageAttributeNames": ["All"]')
    grep -Eq '"Body": ?"no event"' <<<"$letter" || fail "poison is not in the dead-letter queue after 20 s: $letter"
    grep -Eq '"StringValue": ?"an SQS message cannot be read' <<<"$letter" || fail "the dead letter does not say why it is one: $letter"
    ask_sqs PurgeQueue yaks-events-dead >/dev/null
    echo "a message that is no event is in the dead-letter queue"
    queues_are_empty
}

# --- the checks ---

say "the oracle, everything up ($mode)"
oracle || fail "the oracle, everything up"
queues_are_empty

say "the oracle, a sidecar is killed meanwhile"
oracle >"$work/oracle.log" 2>&1 &
oracle_pid=$!
# Its first line comes before the first record.
until [[ -s $work/oracle.log ]]; do
    kill -0 "$oracle_pid" 2>/dev/null || break
    sleep 0.1
done
sidecar kill
status=0
wait "$oracle_pid" || status=$?
oracle_pid=
cat "$work/oracle.log"
((status == 0)) || fail "the oracle, without a sidecar"
queues_are_empty
sidecar start

say "a message that is no event"
poison_is_a_dead_letter

say "passed"
