package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
)

// reference is a bare program: net/http, and for each request the least that an order needs of a store. It neither parses the
// request nor knows who asks. It answers as the shop does, so that the customers of an experiment cannot tell it from one.
type reference struct {
	Kind     string `arg:""`
	Products int    `required:""`
	Database string `name:"database-url" required:""`
	Redis    string `name:"redis-url" required:""`
}

// order takes one unit of a product, 1 to the number of products, and returns the ID of the order.
type order func(ctx context.Context, product int) (id int64, err error)

// stores are the kinds of references: each opens its store and returns how an order is made in it.
var stores = map[string]func(ctx context.Context, r reference) (order, error){
	"transaction": transaction, "statement": statement, "script": script,
	"nothing": func(context.Context, reference) (order, error) {
		return func(context.Context, int) (int64, error) { return 1, nil }, nil
	},
}

// errSoldOut never happens: there is more of each product than can be ordered.
var errSoldOut = errors.New("sold out")

const (
	// units are in stock of each product.
	units = 1_000_000_000
	// mostProducts is how many rows the table of products has.
	mostProducts = 1000
	// history is how many orders there are from the beginning: on empty tables, PostgreSQL plans the check of a foreign key as a
	// scan of the table, once for each session, and each order would cost more than the one before.
	history = 20_000
	// transactionSessions and statementSessions are pools under which these references are fast on one hot row.
	transactionSessions, statementSessions = 16, 2
	// spreadSessions is the pool of both if there are many rows.
	spreadSessions = 16
	// redisConnections is the pool of the script.
	redisConnections = 64
)

// openPool makes the tables and returns sessions.
func openPool(ctx context.Context, r reference, onOneRow int) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(r.Database)
	if err != nil {
		return nil, err
	}
	config.MaxConns = spreadSessions
	if r.Products == 1 {
		config.MaxConns = int32(onOneRow)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	_, err = pool.Exec(ctx, fmt.Sprintf(`
		CREATE TABLE products (id int PRIMARY KEY, price_minor bigint NOT NULL, stock bigint NOT NULL CHECK (stock >= 0))
			WITH (fillfactor = 50);
		CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer bigint NOT NULL,
			total_minor bigint NOT NULL, status text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
		CREATE TABLE order_lines (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders (id),
			product_id int NOT NULL REFERENCES products (id), quantity bigint NOT NULL, unit_price_minor bigint NOT NULL);
		CREATE INDEX ON order_lines (order_id);
		INSERT INTO products SELECT i, 100, %d FROM generate_series(1, %d) i;
		INSERT INTO orders (customer, total_minor, status) SELECT i, 100, 'PENDING' FROM generate_series(1, %d) i;
		INSERT INTO order_lines (order_id, product_id, quantity, unit_price_minor)
			SELECT i, 1 + i %% %d, 1, 100 FROM generate_series(1, %d) i`, units, mostProducts, history, mostProducts, history))
	if err != nil {
		return nil, fmt.Errorf("make the tables: %w", err)
	}
	_, err = pool.Exec(ctx, "VACUUM ANALYZE") // no part of a transaction, so alone
	return pool, err
}

// transaction locks the product, looks, and writes three rows: five statements and a commit.
func transaction(ctx context.Context, r reference) (order, error) {
	pool, err := openPool(ctx, r, transactionSessions)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, product int) (id int64, err error) {
		err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			var price, stock int64
			err := tx.QueryRow(ctx, "SELECT price_minor, stock FROM products WHERE id = $1 FOR UPDATE", product).Scan(&price, &stock)
			if err != nil {
				return err
			}
			if stock < 1 {
				return errSoldOut
			}
			if _, err := tx.Exec(ctx, "UPDATE products SET stock = stock - 1 WHERE id = $1", product); err != nil {
				return err
			}
			err = tx.QueryRow(ctx, "INSERT INTO orders (customer, total_minor, status) VALUES ($1, $2, 'PENDING') RETURNING id",
				customer(), price).Scan(&id)
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `INSERT INTO order_lines (order_id, product_id, quantity, unit_price_minor) VALUES ($1, $2, 1, $3)`,
				id, product, price)
			return err
		})
		return id, err
	}, nil
}

// oneStatement does what transaction does in one round trip.
const oneStatement = `WITH product AS (UPDATE products SET stock = stock - 1 WHERE id = $1 AND stock >= 1 RETURNING id, price_minor),
	placed AS (INSERT INTO orders (customer, total_minor, status) SELECT $2, price_minor, 'PENDING' FROM product RETURNING id),
	line AS (INSERT INTO order_lines (order_id, product_id, quantity, unit_price_minor)
		SELECT placed.id, product.id, 1, product.price_minor FROM placed, product)
	SELECT id FROM placed`

// statement is one statement that is a transaction of its own.
func statement(ctx context.Context, r reference) (order, error) {
	pool, err := openPool(ctx, r, statementSessions)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, product int) (id int64, err error) {
		err = pool.QueryRow(ctx, oneStatement, product, customer()).Scan(&id)
		return id, err
	}, nil
}

func customer() int64 { return rand.Int64N(1_000_000) }

// take is a script that takes units of a product if there are enough, and returns what is left, or -1.
var take = redis.NewScript(`local stock, quantity = tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1])
if stock < quantity then return -1 end
return redis.call('DECRBY', KEYS[1], quantity)`)

// script is one script in Redis, and nothing behind it.
func script(ctx context.Context, r reference) (order, error) {
	config, err := redis.ParseURL(r.Redis)
	if err != nil {
		return nil, err
	}
	config.PoolSize = redisConnections
	client := redis.NewClient(config)
	key := func(product int) string { return "stock:" + strconv.Itoa(product) }
	for product := range r.Products {
		if err := client.Set(ctx, key(product+1), units, 0).Err(); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, product int) (int64, error) {
		left, err := take.Run(ctx, client, []string{key(product)}, 1).Int64()
		if err == nil && left < 0 {
			err = errSoldOut
		}
		return left, err
	}, nil
}

// answer is the shop's answer to an order.
func answer(w http.ResponseWriter, id int64) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"data":{"r":{"object":{"id":"ord_`+fmt.Sprintf("%026d", id)+`","status":"PENDING","payment":null},"ticket":null,`+
		`"meta":{"attempts":1,"lockWaitMs":0,"persistence":"COMMITTED","replayed":false},"userErrors":[]}}}`) // the customer may have gone
}

// gcPercent is GOGC of the shop, unless the environment sets it.
const gcPercent = 400

// Run serves until ctx ends. It says where in the words of the shop.
func (r *reference) Run(ctx context.Context) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	place, err := stores[r.Kind](ctx, *r)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /graphql", func(w http.ResponseWriter, req *http.Request) {
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return // the customer has gone
		}
		id, err := place(req.Context(), 1+rand.IntN(r.Products))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, id)
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // nothing of a reference is to be kept
	fmt.Printf("holdfast is ready, or a reference for it: graphql=http://%s/graphql admin=http://%[1]s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
