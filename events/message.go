package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/google/uuid"

	"holdfast/commerce"
	"holdfast/ent"
)

// Metadata of every message: headers in Kafka, a field in Redis Streams.
const (
	MetaKind        = "kind"
	MetaChangeID    = "change_id"
	MetaFamily      = "family"
	MetaOccurredAt  = "occurred_at"   // RFC 3339, when the change was committed
	MetaKey         = "partition_key" // events with the same key stay in order
	MetaCorrelation = middleware.CorrelationIDMetadataKey
	// MetaMalformed is why a message of a broker could not be decoded. The payload is then what was there of it.
	MetaMalformed = "malformed"
)

// outgoing is a message and its topic.
type outgoing struct {
	topic   string
	message *message.Message
}

func (o outgoing) key() string  { return o.message.Metadata.Get(MetaKey) }
func (o outgoing) kind() string { return o.message.Metadata.Get(MetaKind) }

// eventsOf returns the messages of an applied change: one for its record, and one for each stock that it has moved. Message IDs are
// derived from the change, so that a change that is relayed twice gives the same messages. A record that cannot be relayed
// gives a message for the poison topic, so that it does not hold up all others. It names the change: the
// record may have the address of a customer, and stays in the change log.
func eventsOf(row *ent.ChangeLog, moves []stockMove) []outgoing {
	record, err := recordEvent(row)
	if err != nil {
		poison := newMessage(row, row.ChangeID, row.Kind, row.ChangeID.String(), "", fmt.Appendf(nil, `{"changeId":%q}`, row.ChangeID))
		poison.Metadata.Set(middleware.ReasonForPoisonedKey, err.Error())
		record = outgoing{TopicPoison, poison}
	}
	events := []outgoing{record}
	for _, move := range moves {
		events = append(events, stockEvent(row, move, record.message.Metadata.Get(MetaCorrelation)))
	}
	return events
}

func recordEvent(row *ent.ChangeLog) (outgoing, error) {
	k, known := kinds[row.Kind]
	if !known {
		return outgoing{}, fmt.Errorf("record of unknown kind %q", row.Kind)
	}
	var about subject
	if err := json.Unmarshal([]byte(row.Payload), &about); err != nil {
		return outgoing{}, fmt.Errorf("payload of %s: %w", row.Kind, err)
	}
	key, err := about.key(k.topic)
	if err != nil {
		return outgoing{}, fmt.Errorf("%s: %w", row.Kind, err)
	}
	payload, err := public(row.Kind, []byte(row.Payload))
	if err != nil {
		return outgoing{}, fmt.Errorf("payload of %s: %w", row.Kind, err)
	}
	return outgoing{k.topic, newMessage(row, row.ChangeID, row.Kind, key, about.OrderID, payload)}, nil
}

// public is what consumers may read of a record. Of an order that is what was promised and no more:
// the name of a customer's card at the gateway stays in the shop.
func public(kind string, record []byte) ([]byte, error) {
	if kind != commerce.KindOrderPlaced {
		return record, nil
	}
	var promised OrderPlaced // which has no such field
	if err := json.Unmarshal(record, &promised); err != nil {
		return nil, err
	}
	return json.Marshal(promised)
}

// stockMove is an entry of the stock of a variant.
type stockMove struct {
	*ent.Entry
	variantID, productID string
}

func stockEvent(row *ent.ChangeLog, move stockMove, correlation string) outgoing {
	payload, err := json.Marshal(StockChanged{
		ProductID: move.productID, VariantID: move.variantID, Delta: move.Delta, AmountAfter: move.AmountAfter, Position: move.ID,
		ChangeID: row.ChangeID.String(), Cause: row.Kind, At: move.CreatedAt.UTC(),
	})
	if err != nil {
		panic(err) // strings, numbers and a time of this century
	}
	id := uuid.NewSHA1(row.ChangeID, []byte(KindStockChanged+"\x00"+strings.TrimPrefix(move.Balance, stockPrefix)))
	return outgoing{TopicStock, newMessage(row, id, KindStockChanged, move.productID, correlation, payload)}
}

// newMessage makes a message of a payload. The correlation ID of an order's steps is the order, that of other changes is the
// change itself.
func newMessage(row *ent.ChangeLog, id uuid.UUID, kind, key, correlation string, payload []byte) *message.Message {
	if correlation == "" {
		correlation = row.ChangeID.String()
	}
	m := message.NewMessage(id.String(), payload)
	m.Metadata = message.Metadata{
		MetaKind: kind, MetaChangeID: row.ChangeID.String(), MetaFamily: row.Family, MetaKey: key,
		MetaOccurredAt: row.CreatedAt.UTC().Format(time.RFC3339Nano), MetaCorrelation: correlation,
	}
	return m
}

// Event is a message as a handler gets it.
type Event struct {
	ID      string // the same at every delivery
	Kind    string
	Key     string
	Payload []byte
}

// errPermanent marks failures that would come again with each retry.
var errPermanent = errors.New("permanent")

func eventOf(m *message.Message) (Event, error) {
	if reason := m.Metadata.Get(MetaMalformed); reason != "" {
		return Event{}, fmt.Errorf("%w: malformed message: %s", errPermanent, reason)
	}
	e := Event{ID: m.UUID, Kind: m.Metadata.Get(MetaKind), Key: m.Metadata.Get(MetaKey), Payload: m.Payload}
	if e.ID == "" || e.Kind == "" {
		return Event{}, fmt.Errorf("%w: message without ID or kind", errPermanent)
	}
	return e, nil
}

// payloadOf decodes the payload of an event. It lets unknown fields pass: a newer version may have added some.
func payloadOf[T any](e Event) (T, error) {
	var payload T
	if err := json.Unmarshal(e.Payload, &payload); err != nil {
		return payload, fmt.Errorf("%w: payload of %s: %w", errPermanent, e.Kind, err)
	}
	return payload, nil
}
