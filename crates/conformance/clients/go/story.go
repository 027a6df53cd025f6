// The story that every client tells, with franz-go: story BOOTSTRAP RUN.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type story struct {
	ctx       context.Context
	bootstrap kgo.Opt
	run       string
	topic     string
	admin     *kadm.Client
	produced  []string
}

func main() {
	s := &story{ctx: context.Background(), bootstrap: kgo.SeedBrokers(strings.Split(os.Args[1], ",")...), run: os.Args[2]}
	s.topic = s.run + "-story"
	client, err := kgo.NewClient(s.bootstrap)
	if err != nil {
		line("FAIL", "create-topic", err)
		return
	}
	s.admin = kadm.NewClient(client)
	s.tell()
}

func (s *story) tell() {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/twmb/franz-go" {
			line("VERSION", "franz-go", module.Version)
		}
	}
	feature("create-topic", func() error { return s.create(s.topic, partitions) })
	codecs := []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	}
	for i, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		feature("produce-"+name, func() error { return s.produceStory(name, kgo.ProducerBatchCompression(codecs[i])) })
	}
	// The client's default.
	feature("produce-idempotent", func() error { return s.produceStory("idempotent") })
	feature("consume-assign", s.consumeByAssign)
	feature("seek-by-time", s.seekByTime)
	feature("consume-group", s.consumeByGroup)
	feature("commit-resume", s.commitAndResume)
	feature("rebalance", func() error { return s.rebalance(s.run+"-rebalance", "classic") })
	feature("consumer-protocol", func() error { return s.rebalance(s.run+"-848", "consumer", kgo.ServerSideBalancer()) })
	feature("configs", s.configs)
	feature("create-partitions", s.createPartitions)
	feature("delete-records", s.deleteRecords)
	feature("groups", s.groups)
	feature("group-offsets", s.groupOffsets)
	feature("delete-topic", s.deleteTopic)
}

func (s *story) partitionsOf(topic string) int {
	topics, err := s.admin.ListTopics(s.ctx)
	if err != nil {
		return 0
	}
	return len(topics[topic].Partitions)
}

func (s *story) hasPartitions(topic string, count int) error {
	return until(fmt.Sprint(topic, " has ", count, " partitions"), func() (bool, error) {
		return s.partitionsOf(topic) == count, nil
	})
}

func (s *story) create(topic string, count int32) error {
	_, err := s.admin.CreateTopic(s.ctx, count, -1, nil, topic)
	return first(err, s.hasPartitions(topic, int(count)))
}

func (s *story) produce(records []*kgo.Record, opts ...kgo.Opt) error {
	client, err := kgo.NewClient(append(opts, s.bootstrap, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	for _, result := range client.ProduceSync(ctx, records...) {
		if result.Err != nil || result.Record.Offset < 0 {
			return fmt.Errorf("offset %d: %w", result.Record.Offset, result.Err)
		}
	}
	return nil
}

func (s *story) produceStory(label string, opts ...kgo.Opt) error {
	var batch []*kgo.Record
	for i := range records {
		value := fmt.Sprintf("%s-%d", label, i)
		s.produced = append(s.produced, value)
		batch = append(batch, &kgo.Record{
			Topic: s.topic, Partition: int32(i % partitions), Key: fmt.Appendf(nil, "k%d", i), Value: []byte(value),
			Headers: []kgo.RecordHeader{{Key: "label", Value: []byte(label)}},
		})
	}
	return s.produce(batch, opts...)
}

func (s *story) read(client *kgo.Client, count int) ([]*kgo.Record, error) {
	var found []*kgo.Record
	err := until(fmt.Sprint(count, " records"), func() (bool, error) {
		ctx, cancel := context.WithTimeout(s.ctx, time.Second)
		defer cancel()
		fetches := client.PollRecords(ctx, count-len(found))
		found = append(found, fetches.Records()...)
		if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return false, err
		}
		return len(found) >= count, nil
	})
	return found, err
}

// All that was produced, once, in order, without a hole.
func (s *story) checkStory(found []*kgo.Record) error {
	next := map[int32]int64{}
	var values []string
	for _, record := range found {
		if err := same(next[record.Partition], record.Offset, "offset"); err != nil {
			return err
		}
		next[record.Partition]++
		value := string(record.Headers[0].Value) + "-" + string(record.Key[1:])
		if err := same(value, string(record.Value), "value"); err != nil {
			return err
		}
		values = append(values, value)
	}
	expected := slices.Sorted(slices.Values(s.produced))
	slices.Sort(values)
	if !slices.Equal(expected, values) {
		return fmt.Errorf("expected %d records, found %d or others", len(expected), len(values))
	}
	return nil
}

func (s *story) readStory(opts ...kgo.Opt) error {
	client, err := kgo.NewClient(append(opts, s.bootstrap)...)
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := s.read(client, len(s.produced))
	return first(err, s.checkStory(found))
}

func (s *story) from(topic string, offset kgo.Offset, partitions ...int32) kgo.Opt {
	assigned := map[int32]kgo.Offset{}
	for _, partition := range partitions {
		assigned[partition] = offset
	}
	return kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: assigned})
}

func (s *story) consumeByAssign() error {
	return s.readStory(s.from(s.topic, kgo.NewOffset().AtStart(), 0, 1, 2))
}

func (s *story) firstValue(topic string, offset kgo.Offset) (string, error) {
	client, err := kgo.NewClient(s.bootstrap, s.from(topic, offset, 0))
	if err != nil {
		return "", err
	}
	defer client.Close()
	found, err := s.read(client, 1)
	if err != nil {
		return "", err
	}
	return string(found[0].Value), nil
}

func (s *story) seekByTime() error {
	topic, base := s.run+"-time", time.Now().Add(-time.Minute)
	var batch []*kgo.Record
	for i := range 10 {
		at := base.Add(time.Duration(i) * time.Second)
		batch = append(batch, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "at-%d", i), Timestamp: at})
	}
	if err := first(s.create(topic, 1), s.produce(batch)); err != nil {
		return err
	}
	found, err := s.admin.ListOffsetsAfterMilli(s.ctx, base.UnixMilli()+4500, topic)
	if err != nil {
		return err
	}
	offset, _ := found.Lookup(topic, 0)
	value, err := s.firstValue(topic, kgo.NewOffset().AfterMilli(base.UnixMilli()+4500))
	return first(err, same(5, offset.Offset, "offset"), same("at-5", value, "first record"))
}

func member(topic, group string) []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}
}

func (s *story) consumeByGroup() error {
	return s.readStory(member(s.topic, s.run+"-group")...)
}

func (s *story) commitAndResume() error {
	var all []*kgo.Record
	for _, count := range []int{20, len(s.produced) - 20} {
		client, err := kgo.NewClient(append(member(s.topic, s.run+"-resume"), s.bootstrap, kgo.DisableAutoCommit())...)
		if err != nil {
			return err
		}
		found, err := s.read(client, count)
		err = first(err, client.CommitRecords(s.ctx, found...))
		client.Close()
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	return s.checkStory(all)
}

// A member, and the partitions that it has.
type watched struct {
	*kgo.Client
	lock  sync.Mutex
	owned map[int32]bool
}

func (s *story) watch(group string, opts ...kgo.Opt) (*watched, error) {
	w := &watched{owned: map[int32]bool{}}
	change := func(owned bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			w.lock.Lock()
			defer w.lock.Unlock()
			for _, partition := range changed[s.topic] {
				w.owned[partition] = owned
			}
		}
	}
	opts = append(opts, member(s.topic, group)...)
	opts = append(opts, s.bootstrap, kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)))
	client, err := kgo.NewClient(opts...)
	w.Client = client
	return w, err
}

func (w *watched) assigned() []int32 {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	w.PollFetches(ctx)
	w.lock.Lock()
	defer w.lock.Unlock()
	var assigned []int32
	for partition, owned := range w.owned {
		if owned {
			assigned = append(assigned, partition)
		}
	}
	return assigned
}

func (w *watched) hasAll() error {
	return until("the only member has all partitions", func() (bool, error) { return len(w.assigned()) == partitions, nil })
}

func (s *story) rebalance(group, groupType string, opts ...kgo.Opt) error {
	stays, err := s.watch(group, opts...)
	if err != nil {
		return err
	}
	defer stays.Close()
	if err := stays.hasAll(); err != nil {
		return err
	}
	leaves, err := s.watch(group, opts...)
	if err != nil {
		return err
	}
	err = until("two members share the partitions", func() (bool, error) {
		one, other := stays.assigned(), leaves.assigned()
		both := slices.Sorted(slices.Values(append(one, other...)))
		return len(one) > 0 && len(other) > 0 && slices.Equal(both, []int32{0, 1, 2}), nil
	})
	listed, failed := s.admin.ListGroups(s.ctx)
	leaves.Close()
	return first(err, failed, same(groupType, strings.ToLower(listed[group].GroupType), "the group's type"), stays.hasAll())
}

func setting(configs kadm.ResourceConfigs, err error, name string) (kadm.Config, error) {
	if err != nil || len(configs) != 1 || configs[0].Err != nil {
		return kadm.Config{}, fmt.Errorf("%v: %w", configs, err)
	}
	for _, config := range configs[0].Configs {
		if config.Key == name {
			return config, nil
		}
	}
	return kadm.Config{}, fmt.Errorf("%s is not told", name)
}

func (s *story) alter(name, value string) error {
	answers, err := s.admin.AlterTopicConfigs(s.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, s.topic)
	if err != nil {
		return err
	}
	return answers[0].Err
}

func (s *story) configs() error {
	retention := func() (kadm.Config, error) {
		configs, err := s.admin.DescribeTopicConfigs(s.ctx, s.topic)
		return setting(configs, err, "retention.ms")
	}
	before, err := retention()
	err = first(err, same(kmsg.ConfigSourceDefaultConfig, before.Source, "source before"), s.alter("retention.ms", "3600000"))
	if err != nil {
		return err
	}
	err = until("the altered value is shown", func() (bool, error) {
		altered, err := retention()
		return altered.MaybeValue() == "3600000", err
	})
	after, _ := retention()
	err = first(err, same(kmsg.ConfigSourceDynamicTopicConfig, after.Source, "source after"))
	if unknown := s.alter("no.such.config", "1"); !errors.Is(unknown, kerr.InvalidConfig) {
		return fmt.Errorf("an unknown config: %w", unknown)
	}
	metadata, failed := s.admin.BrokerMetadata(s.ctx)
	if failed != nil {
		return failed
	}
	brokers, failed := s.admin.DescribeBrokerConfigs(s.ctx, metadata.Brokers[0].NodeID)
	_, failed = setting(brokers, failed, "message.max.bytes")
	return first(err, failed)
}

func (s *story) createPartitions() error {
	topic := s.run + "-grow"
	if err := s.create(topic, 2); err != nil {
		return err
	}
	answers, err := s.admin.UpdatePartitions(s.ctx, 5, topic)
	return first(err, answers.Error(), s.hasPartitions(topic, 5))
}

func (s *story) deleteRecords() error {
	topic := s.run + "-cut"
	var batch []*kgo.Record
	for i := range 10 {
		batch = append(batch, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "cut-%d", i)})
	}
	if err := first(s.create(topic, 1), s.produce(batch)); err != nil {
		return err
	}
	var before kadm.Offsets
	before.AddOffset(topic, 0, 5, -1)
	answers, err := s.admin.DeleteRecords(s.ctx, before)
	if err = first(err, answers.Error()); err != nil {
		return err
	}
	answer, _ := answers.Lookup(topic, 0)
	starts, err := s.admin.ListStartOffsets(s.ctx, topic)
	start, _ := starts.Lookup(topic, 0)
	value, failed := s.firstValue(topic, kgo.NewOffset().AtStart())
	return first(err, failed, same(5, answer.LowWatermark, "low watermark"), same(5, start.Offset, "beginning"), same("cut-5", value, "first record"))
}

func (s *story) described(group string) (kadm.DescribedGroup, error) {
	groups, err := s.admin.DescribeGroups(s.ctx, group)
	return groups[group], first(err, groups.Error())
}

func (s *story) groups() error {
	group := s.run + "-groups"
	reader, err := s.watch(group)
	if err != nil {
		return err
	}
	err = reader.hasAll()
	listed, failed := s.admin.ListGroups(s.ctx)
	described, refused := s.described(group)
	reader.Close()
	err = first(err, failed, refused, same("Stable", listed[group].State, "listed state"), same("Stable", described.State, "state"), same(1, len(described.Members), "members"))
	if err != nil {
		return err
	}
	described, err = s.described(group)
	return first(err, same("Empty", described.State, "state without members"))
}

func (s *story) commit(group string, offset int64, metadata string) error {
	offsets := kadm.OffsetsFromRecords()
	offsets.Add(kadm.Offset{Topic: s.topic, Partition: 0, At: offset, LeaderEpoch: -1, Metadata: metadata})
	answers, err := s.admin.CommitOffsets(s.ctx, group, offsets)
	if err = first(err, answers.Error()); err != nil {
		return err
	}
	found, err := s.admin.FetchOffsets(s.ctx, group)
	committed, _ := found.Lookup(s.topic, 0)
	return first(err, same(offset, committed.At, "committed"), same(metadata, committed.Metadata, "metadata"))
}

func (s *story) groupOffsets() error {
	group := s.run + "-offsets"
	if err := first(s.commit(group, 7, "seven"), s.commit(group, 3, "")); err != nil {
		return err
	}
	answers, err := s.admin.DeleteGroups(s.ctx, group)
	listed, failed := s.admin.ListGroups(s.ctx)
	_, there := listed[group]
	return first(err, answers.Error(), failed, same(false, there, "listed after its deletion"))
}

func (s *story) deleteTopic() error {
	answers, err := s.admin.DeleteTopics(s.ctx, s.topic)
	return first(err, answers.Error(), s.hasPartitions(s.topic, 0))
}
