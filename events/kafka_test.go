package events

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"

	"holdfast/commerce"
	"holdfast/internal/testenv"
)

// leaveGroup is the key of the Kafka request by which a consumer says that it goes.
const leaveGroup = 13

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
		settings.Brokers, settings.Redelivery = cluster.ListenAddrs(), redelivery
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
