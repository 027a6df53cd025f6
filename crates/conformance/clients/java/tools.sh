#!/usr/bin/env bash
# The tools of Apache Kafka with their defaults, and what they print against it: tools.sh JARS BOOTSTRAP RUN.
set -euo pipefail

jars=$1 bootstrap=$2 run=$3
# shellcheck source-path=SCRIPTDIR source=../said.sh
source "$(dirname "${BASH_SOURCE[0]}")/../said.sh"
topic=$run-tools
group=$run-tools
tab=$'\t'

version=$(basename "$jars"/kafka-clients-*.jar .jar)
version=${version#kafka-clients-}
tools=org.apache.kafka.tools
# Version 4 moved these two.
case $version in
3.*) config_command=kafka.admin.ConfigCommand console_producer=kafka.tools.ConsoleProducer ;;
*) config_command=$tools.ConfigCommand console_producer=$tools.ConsoleProducer ;;
esac

# Small and quick to start.
java_command=(timeout 90 java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$jars/*")
java_() { "${java_command[@]}" "$@"; }
groups_command() { with_server $tools.consumer.group.ConsumerGroupCommand "$@"; }
with_server() { java_ "$1" --bootstrap-server "$bootstrap" "${@:2}"; }

topics_create() {
    with_server $tools.TopicCommand --create --topic "$topic" --partitions 3 >out1
    expect create out1 "^Created topic $topic\.$"
    with_server $tools.TopicCommand --list >out2
    expect list out2 "^$topic$"
}

topics_describe() {
    with_server $tools.TopicCommand --describe --topic "$topic" >out1
    expect topic out1 "^Topic: $topic${tab}TopicId: [A-Za-z0-9_-]{22}${tab}PartitionCount: 3${tab}ReplicationFactor: [0-9]+${tab}Configs: "
    for partition in 0 1 2; do
        expect partition out1 "^${tab}Topic: $topic${tab}Partition: $partition${tab}Leader: [0-9]+${tab}Replicas: [0-9,]+${tab}Isr: [0-9,]+${tab}Elr: .*${tab}LastKnownElr: "
    done
}

topics_alter() {
    with_server $tools.TopicCommand --create --topic "$topic-grow" >out1
    with_server $tools.TopicCommand --alter --topic "$topic-grow" --partitions 2
    with_server $tools.TopicCommand --describe --topic "$topic-grow" >out2
    expect topic out2 "^Topic: $topic-grow${tab}.*${tab}PartitionCount: 2${tab}"
}

configs_topic() {
    with_server $config_command --entity-type topics --entity-name "$topic" --alter --add-config retention.ms=3600000 >out1
    expect alter out1 "^Completed updating config for topic $topic\.$"
    with_server $config_command --entity-type topics --entity-name "$topic" --describe >out2
    expect describe out2 "^Dynamic configs for topic $topic are:$"
    expect value out2 "^  retention\.ms=3600000 sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:retention\.ms=3600000.*\}$"
    with_server $config_command --entity-type topics --entity-name "$topic" --alter --delete-config retention.ms
    with_server $config_command --entity-type topics --entity-name "$topic" --describe --all >out3
    expect all out3 "^All configs for topic $topic are:$"
    expect default out3 "^  cleanup\.policy=delete sensitive=false synonyms=\{DEFAULT_CONFIG:log\.cleanup\.policy=delete\}$"
}

configs_broker() {
    local broker
    with_server $tools.TopicCommand --describe --topic "$topic" >out1
    broker=$(sed -n "s/.*Partition: 0${tab}Leader: \([0-9]*\)${tab}.*/\1/p" out1)
    with_server $config_command --entity-type brokers --entity-name "$broker" --describe --all >out2
    expect all out2 "^All configs for broker $broker are:$"
    expect value out2 "^  message\.max\.bytes=1048588 sensitive=false synonyms=\{.*DEFAULT_CONFIG:message\.max\.bytes=1048588\}$"
}

console_producer() {
    # With keys, so that every partition gets some: what a group did not read from, it does not commit.
    seq 1 20 | sed 's/.*/&:&/' | java_ $console_producer --bootstrap-server "$bootstrap" --topic "$topic" \
        --property parse.key=true --property key.separator=: >out1
    with_server $tools.GetOffsetShell --topic "$topic" >out2
    same "records" 20 "$(awk -F: '{ sum += $3 } END { print sum }' out2)"
}

console_consumer() {
    with_server $tools.consumer.ConsoleConsumer --topic "$topic" --from-beginning --max-messages 20 --group "$group" >out1 2>err1
    same "values" "$(seq 1 20)" "$(sort -n out1)"
    expect total err1 '^Processed a total of 20 messages$'
}

get_offsets() {
    with_server $tools.GetOffsetShell --topic "$topic" >out1
    same "partitions" "$topic:0 $topic:1 $topic:2" "$(cut -d : -f 1,2 out1 | tr '\n' ' ' | sed 's/ $//')"
    with_server $tools.GetOffsetShell --topic "$topic" --time earliest >out2
    same "earliest" "$(printf '%s\n' "$topic":{0,1,2}:0)" "$(cat out2)"
    with_server $tools.GetOffsetShell --topic "$topic" --time max-timestamp >out3
    expect "max-timestamp" out3 "^$topic:[012]:[0-9]+$"
}

groups_list() {
    groups_command --list >out1
    expect list out1 "^$group$"
    groups_command --list --state >out2
    expect state out2 "^$group +Empty *$"
}

groups_describe() {
    groups_command --describe --group "$group" >out1 2>err1
    cat out1 err1 >both
    expect "no members" both "^Consumer group '$group' has no active members\.$"
    expect header out1 '^GROUP +TOPIC +PARTITION +(LEADER-EPOCH +)?CURRENT-OFFSET +LOG-END-OFFSET +LAG +CONSUMER-ID +HOST +CLIENT-ID *$'
    for partition in 0 1 2; do
        expect row out1 "^$group +$topic +$partition +([0-9-]+ +)?[0-9]+ +[0-9]+ +0 +- +- +- *$"
    done
    groups_command --describe --group "$group" --state >out2
    expect "state header" out2 '^GROUP +COORDINATOR \(ID\) +ASSIGNMENT-STRATEGY +STATE +(GROUP-EPOCH +TARGET-ASSIGNMENT-EPOCH +)?#MEMBERS *$'
    expect state out2 "^$group +[^ ]+:[0-9]+ +\([0-9]+\) +(- +)?Empty +(- +- +)?0 *$"
}

groups_members() {
    local reader
    # Not through a function: the signal has to reach Java. A reader that lived on would bring the deleted topic back.
    "${java_command[@]}" $tools.consumer.ConsoleConsumer --bootstrap-server "$bootstrap" --topic "$topic" --group "$group-members" \
        >/dev/null 2>err1 &
    reader=$!
    until_so "a member has all partitions" has_member
    expect header out1 '^GROUP +CONSUMER-ID +HOST +CLIENT-ID +#PARTITIONS +(.*ASSIGNMENT)?'
    groups_command --describe --group "$group-members" >out2
    expect row out2 "^$group-members +$topic +0 +([0-9-]+ +)?[0-9-]+ +[0-9]+ +[0-9-]+ +console-consumer-[^ ]+ +/[^ ]+ +console-consumer *$"
    kill "$reader"
    wait "$reader" || true
}
has_member() {
    groups_command --describe --group "$group-members" --members --verbose >out1 2>err2 || true
    grep -q -E "^$group-members +console-consumer-[^ ]+ +/[^ ]+ +console-consumer +3 +.*[(:]0,1,2" out1
}

groups_reset_offsets() {
    groups_command --reset-offsets --group "$group" --topic "$topic" --to-earliest --execute >out1
    # 3.9 does not end the line of the header.
    expect header out1 '^GROUP +TOPIC +PARTITION +NEW-OFFSET'
    for partition in 0 1 2; do
        expect row out1 "$group +$topic +$partition +0( |$)"
    done
}

groups_delete() {
    groups_command --delete --group "$group" >out1
    expect delete out1 "^Deletion of requested consumer groups \('$group'\) was successful\.$"
    groups_command --list >out2
    same "listed after its deletion" "" "$(grep -x "$group" out2 || true)"
}

verifiable_producer() {
    with_server $tools.VerifiableProducer --topic "$topic-verifiable" --max-messages 200 >out1
    expect startup out1 '"name":"startup_complete"'
    expect success out1 '"name":"producer_send_success".*"offset":[0-9]+'
    expect summary out1 '"name":"tool_data"'
    expect acked out1 '"acked":200[,}]'
}

verifiable_consumer() {
    with_server $tools.VerifiableConsumer --topic "$topic-verifiable" --group-id "$group-verifiable" --max-messages 200 --reset-policy earliest >out1
    expect assigned out1 '"name":"partitions_assigned"'
    expect consumed out1 '"name":"records_consumed"'
    expect committed out1 '"name":"offsets_committed".*"success":true|"success":true.*"name":"offsets_committed"'
    expect shutdown out1 '"name":"shutdown_complete"'
    same "records" 200 "$(sed -n 's/.*"name":"records_consumed".*"count":\([0-9]*\).*/\1/p; s/.*"count":\([0-9]*\).*"name":"records_consumed".*/\1/p' out1 | awk '{ sum += $1 } END { print sum }')"
}

producer_perf_test() {
    java_ $tools.ProducerPerformance --topic "$topic-perf" --num-records 20000 --record-size 100 --throughput -1 --producer-props "bootstrap.servers=$bootstrap" >out1
    expect result out1 '^20000 records sent, [0-9.,]+ records/sec \([0-9.,]+ MB/sec\), [0-9.,]+ ms avg latency, [0-9.,]+ ms max latency, [0-9]+ ms 50th, [0-9]+ ms 95th, [0-9]+ ms 99th, [0-9]+ ms 99\.9th\.$'
}

consumer_perf_test() {
    with_server $tools.ConsumerPerformance --topic "$topic-perf" --messages 20000 >out1
    expect header out1 '^start\.time, end\.time, data\.consumed\.in\.MB, MB\.sec, data\.consumed\.in\.nMsg, nMsg\.sec, rebalance\.time\.ms, fetch\.time\.ms, fetch\.MB\.sec, fetch\.nMsg\.sec$'
    expect result out1 '^[0-9-]+ [0-9:]+, [0-9-]+ [0-9:]+, 1\.9073, [0-9.]+, 20000, '
}

topics_delete() {
    with_server $tools.TopicCommand --delete --topic "$topic"
    until_so "the topic is gone" topic_is_gone
}
topic_is_gone() {
    with_server $tools.TopicCommand --list >out1 && ! grep -q -x "$topic" out1
}

echo "VERSION kafka-tools $version"
feature kafka-topics:create topics_create
feature kafka-topics:describe topics_describe
feature kafka-topics:alter topics_alter
feature kafka-configs:topics configs_topic
feature kafka-configs:brokers configs_broker
feature kafka-console-producer console_producer
feature kafka-console-consumer console_consumer
feature kafka-get-offsets get_offsets
feature kafka-consumer-groups:list groups_list
feature kafka-consumer-groups:describe groups_describe
feature kafka-consumer-groups:members groups_members
feature kafka-consumer-groups:reset-offsets groups_reset_offsets
feature kafka-consumer-groups:delete groups_delete
feature kafka-verifiable-producer verifiable_producer
feature kafka-verifiable-consumer verifiable_consumer
feature kafka-producer-perf-test producer_perf_test
feature kafka-consumer-perf-test consumer_perf_test
feature kafka-topics:delete topics_delete
