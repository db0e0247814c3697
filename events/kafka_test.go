package events

import (
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"holdfast/commerce"
	"holdfast/internal/testenv"
)

// Keys of the Kafka requests by which a consumer comes to its group, and says that it goes.
const joinGroup, leaveGroup = 11, 13

// refuse closes the connection of whoever sends a request of a kind. The types are those of the protocol's own module.
func refuse[Request, Response any](
	control func(key int16, f func(Request) (Response, error, bool)), keep func(), key int16, refused func(),
) {
	control(key, func(Request) (none Response, _ error, handled bool) {
		keep() // for the next one as well
		refused()
		return none, errOnPurpose, true
	})
}

// What a consumer has read and not acknowledged when it dies, without a word to Kafka, is taken over by another, within
// Redelivery: its session ends, and its partitions go to those who are left.
func TestKafkaTakeover(t *testing.T) {
	// The least that the settings take, and how long a takeover may then last on an idle machine. That is less than the library's
	// own session timeout, 10 s.
	const redelivery, takeover = time.Second, 6 * time.Second
	var cluster *kfake.Cluster
	e := newEnv(t, brokerKind{"kafka", func(t *testing.T) *testBroker {
		t.Helper()
		var err error
		cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(redelivery))
		must(t, err)
		t.Cleanup(cluster.Close)
		settings := brokerSettings(Kafka)
		settings.URL, settings.Redelivery = KafkaURL(cluster.ListenAddrs()...), redelivery
		return &testBroker{settings: settings}
	}})
	read := make(chan struct{}, plenty)
	e.fail.handler = func(string, Event) error {
		read <- struct{}{}
		return fmt.Errorf("%w: on purpose", errWait) // it stays unacknowledged for as long as the consumer lives
	}
	first := e.start()
	product := e.product(1, 10)
	e.order(alice, nil, line(product, 1))
	first.Wake()
	testenv.Receive(t, read, "the first consumer to read")

	silent := make(chan struct{}, plenty)
	refuse(cluster.ControlKey, cluster.KeepControl, leaveGroup, func() { silent <- struct{}{} })
	must(t, first.Close())
	if len(silent) == 0 {
		t.Fatal("it did not try to leave its group: this test tests nothing")
	}
	died := time.Now()
	e.fail.Lock()
	e.fail.handler = nil
	e.fail.Unlock()
	second := e.deps
	second.Instance = uuid.NewString()
	e.startAs(second)
	e.awaitHandled(map[string]int{KindStockChanged: 1, commerce.KindOrderPlaced: 1})
	if took := time.Since(died); took > testenv.Scaled(takeover) {
		t.Errorf("taken over after %s, want %s at most on an idle machine", took, takeover)
	} else {
		t.Logf("taken over after %s", took)
	}
}

// A group that refuses its consumers is asked with pauses in between, and consumes when it takes them.
func TestKafkaRefusesConsumers(t *testing.T) {
	noLeaks(t)
	broker := startAutoKafka(t)
	const refusals = 8
	refused := make(chan struct{}, plenty)
	var refusing atomic.Bool
	refusing.Store(true)
	broker.kafka.ControlKey(joinGroup, func(kmsg.Request) (kmsg.Response, error, bool) {
		if !refusing.Load() {
			return nil, nil, false
		}
		broker.kafka.KeepControl()
		refused <- struct{}{}
		return nil, errOnPurpose, true
	})
	b, err := OpenBroker(broker.settings, BrokerDeps{})
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	must(t, b.Publish("topic", message.NewMessage("1", []byte("payload"))))
	subscriber, err := b.Subscriber("group")
	must(t, err)
	began := time.Now()
	out, err := subscriber.Subscribe(t.Context(), "topic")
	must(t, err)
	for range refusals {
		select {
		case <-refused:
		case <-time.After(longEnough):
			t.Fatal("it does not try again to join its group")
		}
	}
	if took, least := time.Since(began), (refusals-2)*kafkaPause; took < least {
		t.Errorf("%d attempts within %s, want %s at least", refusals, took, least)
	}
	refusing.Store(false)
	select {
	case m := <-out:
		m.Ack()
		if m.UUID != "1" || string(m.Payload) != "payload" {
			t.Errorf("message %s %s", m.UUID, m.Payload)
		}
	case <-time.After(longEnough):
		t.Fatal("no message")
	}
}

// The bytes in Kafka are those of Watermill's own publisher, which other programs may use, and the hash of the key decides on
// the partition as it does there: FNV-1a, as by Sarama.
func TestKafkaRecords(t *testing.T) {
	m := message.NewMessage("id", []byte("payload"))
	m.Metadata.Set(MetaKey, "product-1")
	m.Metadata.Set(MetaKind, "kind")
	r, err := recordOf("topic", m)
	must(t, err)
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	want := map[string]string{"_watermill_message_uuid": "id", MetaKey: "product-1", MetaKind: "kind"}
	if r.Topic != "topic" || string(r.Key) != "product-1" || string(r.Value) != "payload" || !maps.Equal(headers, want) {
		t.Errorf("record %+v", r)
	}
	if back := messageOf(r); !back.Equals(m) {
		t.Errorf("read as %+v, want %+v", back, m)
	}
	m.Metadata.Set(kafkaUUID, "another")
	if _, err := recordOf("topic", m); err == nil {
		t.Error("the name of the ID is taken by the metadata")
	}
	partition := kgo.StickyKeyPartitioner(kgo.SaramaCompatHasher(fnv32a)).ForTopic("topic")
	// FNV-1a of "a" is 0xe40c292c, as a signed number -468965076, and of "foobar" 0xbf9cf968, -1080231576.
	for key, want := range map[string]int{"a": 468965076 % 6, "foobar": 1080231576 % 6} {
		if got := partition.Partition(&kgo.Record{Key: []byte(key)}, 6); got != want {
			t.Errorf("%s goes to partition %d, want %d", key, got, want)
		}
	}
}
