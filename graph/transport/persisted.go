package transport

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/99designs/gqlgen/graphql"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/redis/go-redis/v9"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// persisted is Automatic Persisted Queries, as Apollo's clients use them: a client sends a document's hash in its place, and
// the document once, where the hash is not known. gqlgen's own extension stores a document before it is validated, so that
// everybody may store anything. Documents are in Redis, for all instances; a few are remembered here as well.
//
// A hash that Redis has lost, or cannot be asked about, is unknown: the client then sends the document again.
type persisted struct {
	redis    redis.UniversalClient
	known    *lru.Cache[string, string]
	maxBytes int
	most     int
	ttl      time.Duration
	log      *slog.Logger
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
	graphql.OperationContextMutator
} = (*persisted)(nil)

// The keys have a common hash tag: in a cluster, the scripts need them on one node.
var persistedKeys = []string{"{persisted}:documents", "{persisted}:used"}

const (
	// persistedTimeout bounds what a request waits for Redis.
	persistedTimeout = 300 * time.Millisecond
	// persistedTTL is how long a document is kept that nobody asks for.
	persistedTTL = 7 * 24 * time.Hour
	// maxPersisted is how many documents are kept, those used last. With the bound on their length, they fill 16 MB at most.
	maxPersisted = 2000
)

// storeDocument keeps a document, and drops those that were not used for longest.
var storeDocument = redis.NewScript(`
local documents, used = KEYS[1], KEYS[2]
local hash, document, now, ttl, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
redis.call('HSET', documents, hash, document)
redis.call('ZADD', used, now, hash)
local stale = redis.call('ZRANGEBYSCORE', used, '-inf', now - ttl)
for _, old in ipairs(stale) do
  redis.call('HDEL', documents, old)
  redis.call('ZREM', used, old)
end
local over = redis.call('ZCARD', used) - most
if over > 0 then
  for _, old in ipairs(redis.call('ZRANGE', used, 0, over - 1)) do
    redis.call('HDEL', documents, old)
    redis.call('ZREM', used, old)
  end
end
redis.call('EXPIRE', documents, ttl)
redis.call('EXPIRE', used, ttl)
return 1`)

// findDocument returns a document, and notes that it was used.
var findDocument = redis.NewScript(`
local document = redis.call('HGET', KEYS[1], ARGV[1])
if document then
  redis.call('ZADD', KEYS[2], tonumber(ARGV[2]), ARGV[1])
end
return document`)

func newPersisted(client redis.UniversalClient, limits Limits, log *slog.Logger) *persisted {
	known, err := lru.New[string, string](limits.CachedQueries)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &persisted{
		redis: client, known: known, maxBytes: limits.CachedQueryBytes, most: limits.PersistedQueries, ttl: persistedTTL, log: log,
	}
}

// ExtensionName implements graphql.HandlerExtension.
func (*persisted) ExtensionName() string { return "PersistedQueries" }

// Validate implements graphql.HandlerExtension.
func (*persisted) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters puts the document in the place of its hash.
func (p *persisted) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	extension, given := params.Extensions["persistedQuery"]
	if !given || extension == nil {
		return nil
	}
	hash, err := hashOf(extension)
	if err != nil {
		return Errorf(CodeBadRequest, "%s", err.Error())
	}
	if params.Query != "" {
		if sum := sha256.Sum256([]byte(params.Query)); hex.EncodeToString(sum[:]) != hash {
			return Errorf(CodeBadRequest, "the hash of the persisted query is not that of the document")
		}
		graphql.GetOperationContext(ctx).Stats.SetExtension(p.ExtensionName(), hash)
		return nil // stored once it has been validated
	}
	document, found := p.find(ctx, hash)
	if !found {
		return Errorf(CodeUnknownHash, "PersistedQueryNotFound") // clients look for this very message, or for the code
	}
	params.Query = document
	return nil
}

// MutateOperationContext stores a document that has passed validation and, since it comes later, the guard. Also one that
// is known here: its client would not have sent it, were it in Redis.
func (p *persisted) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	if hash, sent := op.Stats.GetExtension(p.ExtensionName()).(string); sent && len(op.RawQuery) <= p.maxBytes {
		p.store(ctx, hash, op.RawQuery)
	}
	return nil
}

// hashOf reads {"version": 1, "sha256Hash": "..."}.
func hashOf(extension any) (string, error) {
	fields, _ := extension.(map[string]any)
	hash, _ := fields["sha256Hash"].(string)
	version, _ := fields["version"].(json.Number)
	if version != "1" {
		return "", errors.New("persistedQuery must have the version 1")
	}
	if sum, err := hex.DecodeString(hash); err != nil || len(sum) != sha256.Size {
		return "", errors.New("persistedQuery must have a sha256Hash of 64 hexadecimal digits")
	}
	return hash, nil
}

func (p *persisted) find(ctx context.Context, hash string) (string, bool) {
	if document, ok := p.known.Get(hash); ok {
		return document, true
	}
	if p.redis == nil {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, persistedTimeout)
	defer cancel()
	document, err := findDocument.Run(ctx, p.redis, persistedKeys, hash, time.Now().Unix()).Text()
	if err != nil {
		if !errors.Is(err, redis.Nil) {
			p.log.WarnContext(ctx, "persisted queries cannot be read", "error", err)
		}
		return "", false
	}
	if sum := sha256.Sum256([]byte(document)); hex.EncodeToString(sum[:]) != hash {
		return "", false // somebody else wrote into Redis
	}
	p.known.Add(hash, document)
	return document, true
}

func (p *persisted) store(ctx context.Context, hash, document string) {
	p.known.Add(hash, document)
	if p.redis == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, persistedTimeout)
	defer cancel()
	err := storeDocument.Run(ctx, p.redis, persistedKeys, hash, document, time.Now().Unix(), int64(p.ttl.Seconds()), p.most).Err()
	if err != nil {
		p.known.Remove(hash) // the next one tries again
		p.log.WarnContext(ctx, "a persisted query cannot be stored", "error", err)
	}
}

// isUnknownHash tells the one refusal that is part of the ordinary course of things, and has the status 200 therefore.
func isUnknownHash(errs gqlerror.List) bool {
	return len(errs) == 1 && errs[0].Extensions["code"] == CodeUnknownHash
}
