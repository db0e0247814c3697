package commerce

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/google/uuid"
)

// Identifiers are type-prefixed strings, so that an ID tells what it names. Those of objects that an idempotent
// operation creates are derived from its key: a repeat computes the same ID and cannot create a second object.

const (
	prefixProduct  = "prod_"
	prefixVariant  = "var_"
	prefixCoupon   = "coup_"
	prefixIssue    = "cpi_"
	prefixOrder    = "ord_"
	prefixPayment  = "pay_"
	prefixAccount  = "acct_"
	prefixTransfer = "tr_"
	prefixTopUp    = "top_"
	prefixAttempt  = "pat_"
	prefixRefund   = "re_"
	prefixAddress  = "addr_"
	prefixCart     = "cart_"
	prefixHold     = "hold_"
	prefixCategory = "cat_"
)

// IDEncoding writes numbers as IDs have them: without letters that are taken for others when they are read aloud.
var IDEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func idOf(prefix string, id uuid.UUID) string { return prefix + IDEncoding.EncodeToString(id[:]) }

// uuidOf is the inverse of idOf. It returns false if idOf did not make the ID: the last character has bits that the decoder drops.
func uuidOf(prefix, id string) (uuid.UUID, bool) {
	rest, ok := strings.CutPrefix(id, prefix)
	raw, err := IDEncoding.DecodeString(rest)
	if !ok || err != nil || len(raw) != len(uuid.UUID{}) {
		return uuid.UUID{}, false
	}
	return uuid.UUID(raw), idOf(prefix, uuid.UUID(raw)) == id
}

// padded tells an ID with a space at its end. It names nothing, but MariaDB compares text without such spaces.
func padded(id string) bool { return strings.HasSuffix(id, " ") }

func newID(prefix string) string { return idOf(prefix, uuid.Must(uuid.NewV7())) }

// namespace makes the change IDs of this program its own.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("holdfast"))

// operationID scopes a client's idempotency key to the user and the operation: nobody can collide with another's.
func operationID(v Viewer, operation string, key uuid.UUID) uuid.UUID {
	return uuid.NewSHA1(namespace, []byte(strings.Join([]string{"op", operation, v.UserID, key.String()}, "\x00")))
}

// stepID names a step of an order's saga. An order has one release, one refund and so on, whoever makes it.
func stepID(orderID, step string) uuid.UUID {
	return uuid.NewSHA1(namespace, []byte(strings.Join([]string{"step", orderID, step}, "\x00")))
}

// fingerprint stands for a request: the same key with another fingerprint is another request.
func fingerprint(request any) string {
	sum := sha256.Sum256(mustJSON(request))
	return hex.EncodeToString(sum[:])
}

// mustJSON encodes a value of this package's own plain types, which cannot fail.
func mustJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
