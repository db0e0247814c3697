package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/99designs/gqlgen/graphql"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/redis/go-redis/v9"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// persistedQueries lets a client name a document instead of sending it: one of the safelist, or, by
// Automatic Persisted Queries as Apollo's clients use them, one that was sent before. Then a client
// sends the hash of the document. If the server does not know the hash, the client sends both.
//
// Documents are stored in Redis for all instances; each instance caches some. gqlgen's own
// extension stores a document before validation, so anybody may store anything. This one stores it
// after validation and the guard.
//
// If Redis has lost a hash or does not answer, the hash is unknown, and the client sends the
// document again.
type persistedQueries struct {
	redis    redis.UniversalClient
	known    *lru.Cache[string, string]
	maxBytes int
	most     int
	ttl      time.Duration
	safelist *safelist
	log      *slog.Logger
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
	graphql.OperationContextMutator
} = (*persistedQueries)(nil)

// persistedKeys have a common hash tag: in a Redis cluster, a script needs its keys on one node.
var persistedKeys = []string{"{persisted}:documents", "{persisted}:used"}

const (
	// persistedTimeout bounds what a request waits for Redis.
	persistedTimeout = 300 * time.Millisecond
	// persistedTTL is how long an unused document is stored.
	persistedTTL = 7 * 24 * time.Hour
)

// storeDocument stores a document. It deletes documents past their TTL, and the least recently used
// above the bound.
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

// findDocument returns a document and records its use.
var findDocument = redis.NewScript(`
local document = redis.call('HGET', KEYS[1], ARGV[1])
if document then
  redis.call('ZADD', KEYS[2], tonumber(ARGV[2]), ARGV[1])
end
return document`)

func newPersisted(client redis.UniversalClient, limits Limits, safelist *safelist, log *slog.Logger) *persistedQueries {
	known, err := lru.New[string, string](limits.CachedQueries)
	if err != nil {
		panic(err) // impossible: the size is positive
	}
	return &persistedQueries{
		redis: client, known: known, maxBytes: limits.CachedQueryBytes, most: limits.PersistedQueries, ttl: persistedTTL,
		safelist: safelist, log: log,
	}
}

// ExtensionName implements graphql.HandlerExtension.
func (*persistedQueries) ExtensionName() string { return "PersistedQueries" }

// Validate implements graphql.HandlerExtension.
func (*persistedQueries) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters replaces an identifier by its document. It refuses what the safelist does
// not have if nothing else is served.
func (p *persistedQueries) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	id, err := identifierIn(params.Extensions)
	if err != nil {
		return Errorf(CodeBadRequest, "%s", err.Error())
	}
	document, listed := p.safelist.lookup(id)
	switch {
	case listed && params.Query != "" && params.Query != document:
		return Errorf(CodeBadRequest, "the document is not the one with this identifier; send one of them")
	case listed:
		params.Query = document
		return nil
	case p.safelist.forbids(ctx) && id != "":
		return Errorf(CodeNotListed, "this shop serves the operations of its manifest only, and none has this identifier")
	case p.safelist.forbids(ctx) && !p.safelist.has(params.Query):
		return Errorf(CodeNotSafelisted, "this shop serves the operations of its manifest only, and this document is none of them")
	case id == "":
		return nil
	}
	return p.automatic(ctx, id, params)
}

// automatic replaces a hash by its document, or checks the document that came along.
func (p *persistedQueries) automatic(ctx context.Context, id documentID, params *graphql.RawParams) *gqlerror.Error {
	hash := id.hash()
	if params.Query != "" {
		if hash == "" {
			return Errorf(CodeBadRequest, "a document that is sent along has its SHA-256 for an identifier, in 64 hexadecimal digits")
		}
		if hashOf(params.Query) != hash {
			return Errorf(CodeBadRequest, "the hash of the persisted query is not that of the document")
		}
		graphql.GetOperationContext(ctx).Stats.SetExtension(p.ExtensionName(), hash)
		return nil // stored once it has been validated
	}
	document, found := "", false
	if hash != "" {
		document, found = p.find(ctx, hash)
	}
	if !found {
		// Clients look for this message or for the code.
		return Errorf(CodeUnknownHash, "PersistedQueryNotFound")
	}
	params.Query = document
	return nil
}

// MutateOperationContext stores a document after validation and the guard. It also stores a
// document that this instance has cached: the client sent it because Redis does not have it.
func (p *persistedQueries) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	if hash, sent := op.Stats.GetExtension(p.ExtensionName()).(string); sent && len(op.RawQuery) <= p.maxBytes {
		p.store(ctx, hash, op.RawQuery)
	}
	return nil
}

// persistedQuery is the extension that names a document: {"version": 1, "sha256Hash": "..."}, or the
// documentID that [parameters] puts in its place.
const persistedQuery = "persistedQuery"

// maxDocumentID bounds identifiers, in bytes.
const maxDocumentID = 200

// identifierIn returns the identifier of the document that is asked for, or "" if there is none.
func identifierIn(extensions map[string]any) (documentID, error) {
	extension, given := extensions[persistedQuery]
	if !given || extension == nil {
		return "", nil
	}
	id, named := extension.(documentID)
	if !named {
		fields, _ := extension.(map[string]any)
		text, _ := fields["sha256Hash"].(string)
		version, _ := fields["version"].(json.Number)
		if version != "1" {
			return "", errors.New("persistedQuery must have the version 1")
		}
		if text == "" {
			return "", errors.New("persistedQuery must have a sha256Hash")
		}
		id = documentID(text)
	}
	if len(id) > maxDocumentID {
		return "", fmt.Errorf("an identifier of a document has at most %d bytes", maxDocumentID)
	}
	return id, nil
}

// find returns the document of a hash, from the cache or from Redis.
func (p *persistedQueries) find(ctx context.Context, hash string) (string, bool) {
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
	if hashOf(document) != hash {
		return "", false // the value in Redis is not what store wrote
	}
	p.known.Add(hash, document)
	return document, true
}

// store writes a document into the cache and into Redis. If Redis fails, it logs that.
func (p *persistedQueries) store(ctx context.Context, hash, document string) {
	p.known.Add(hash, document)
	if p.redis == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, persistedTimeout)
	defer cancel()
	err := storeDocument.Run(ctx, p.redis, persistedKeys, hash, document, time.Now().Unix(), int64(p.ttl.Seconds()), p.most).Err()
	if err != nil {
		p.known.Remove(hash) // so that the next request stores it
		p.log.WarnContext(ctx, "a persisted query cannot be stored", "error", err)
	}
}

// isUnknownHash reports whether the only error is an unknown hash. That is part of the protocol, so
// the status is 200.
func isUnknownHash(errs gqlerror.List) bool {
	return len(errs) == 1 && errs[0].Extensions["code"] == CodeUnknownHash
}
