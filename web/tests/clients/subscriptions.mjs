// Follows stock, orders and the end of a connection with graphql-ws and graphql-sse:
// node tests/clients/subscriptions.mjs http://127.0.0.1:8080 TOKEN
import assert from 'node:assert/strict';

import { createClient as createSSE } from 'graphql-sse';
import { createClient as createWS } from 'graphql-ws';
import WebSocket from 'ws';

const [base, token] = process.argv.slice(2);
const url = `${base}/graphql`;
const authorization = `Bearer ${token}`;
const patience = 120_000;

const open = {
  ws: (authorized = authorization) =>
    createWS({
      url: url.replace('http', 'ws'),
      webSocketImpl: WebSocket,
      connectionParams: authorized ? { authorization: authorized } : {},
      retryAttempts: 0,
    }),
  sse: (authorized = authorization) =>
    createSSE({ url, headers: authorized ? { authorization: authorized } : {}, retryAttempts: 0 }),
};

async function mutate(field, type, input, selection) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization },
    body: JSON.stringify({
      query: `mutation ($input: ${type}!) { ${field}(input: $input) { ${selection} userErrors { message } } }`,
      variables: { input: { idempotencyKey: crypto.randomUUID(), ...input } },
    }),
  });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  assert.deepEqual(data[field].userErrors, []);
  return data[field];
}

/** Fails where nothing comes in time, rather than to wait for ever. */
function soon(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing in ${patience} ms`)), patience);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const next = async (events, what) => {
  const { value, done } = await soon(events.next(), what);
  assert.ok(!done, `${what}: the subscription ended`);
  assert.equal(value.errors, undefined, JSON.stringify(value.errors));
  return value.data;
};

/** Changes may be told as one: what counts is that the last one is told. */
async function until(events, what, accept) {
  for (;;) {
    const data = await next(events, what);
    if (accept(data)) {
      return data;
    }
  }
}

const stockQuery = { query: 'subscription { stockChanged(productIds: ["prod_3"]) { id stock { available } } }' };

async function stock(client) {
  const events = client.iterate(stockQuery);
  const first = Number((await next(events, 'the present stock')).stockChanged.stock.available);
  for (const [delta, expected] of [[5, first + 5], [-2, first + 3]]) {
    await mutate('stockAdjust', 'StockAdjustInput', { productId: 'prod_3', delta }, '');
    await until(events, `stock after ${delta}`, (data) => Number(data.stockChanged.stock.available) === expected);
  }
  await events.return();
}

async function order(client) {
  const { order: placed } = await mutate(
    'placeOrder',
    'PlaceOrderInput',
    { lines: [{ productId: 'prod_6', quantity: 1 }] },
    'order { id }',
  );
  const events = client.iterate({
    query: 'subscription ($id: ID!) { orderUpdated(id: $id) { id status } }',
    variables: { id: placed.id },
  });
  assert.equal((await next(events, 'the order as it is')).orderUpdated.status, 'PENDING');
  await mutate('cancelOrder', 'CancelOrderInput', { orderId: placed.id }, '');
  await until(events, 'the cancelled order', (data) => data.orderUpdated.status === 'CANCELLED');
  const { done } = await soon(events.next(), 'the end');
  assert.ok(done, 'nothing can happen to a cancelled order any more, and still the subscription goes on');
}

/** Two subscriptions at once; one ends, and the other goes on. */
async function independent(client) {
  const events = client.iterate(stockQuery);
  await next(events, 'the present stock');
  const broken = client.iterate({ query: 'subscription { nothing }' });
  const failed = await soon(broken.next(), 'the refusal').then(
    ({ value }) => value.errors,
    (errors) => errors,
  );
  assert.equal([failed].flat()[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED', JSON.stringify(failed));
  await mutate('stockAdjust', 'StockAdjustInput', { productId: 'prod_3', delta: 1 }, '');
  const { stockChanged } = await next(events, 'stock after the other subscription failed');
  assert.equal(stockChanged.id, 'prod_3');
  await events.return();
}

/** Orders are for those who are signed in. */
async function anonymous(kind) {
  const client = open[kind]('');
  const events = client.iterate({ query: 'subscription { orderUpdated(id: "ord_1") { id } }' });
  const outcome = await soon(events.next(), 'the refusal').then(
    ({ value }) => value.errors,
    (errors) => errors,
  );
  assert.equal([outcome].flat()[0].extensions?.code, 'UNAUTHENTICATED', JSON.stringify(outcome));
  client.dispose();
}

/** A lost connection comes back, and with it what has changed meanwhile. */
async function reconnects() {
  let socket;
  const client = createWS({
    url: url.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
    retryAttempts: 5,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
    on: { connected: (opened) => (socket = opened) },
  });
  const events = client.iterate(stockQuery);
  const before = Number((await next(events, 'the present stock')).stockChanged.stock.available);
  socket.terminate();
  await mutate('stockAdjust', 'StockAdjustInput', { productId: 'prod_3', delta: 9 }, '');
  await until(events, 'stock after a lost connection', (d) => Number(d.stockChanged.stock.available) === before + 9);
  await events.return();
  await client.dispose();
}

/** A token that is not valid is told by the close code that the protocol's clients do not retry. */
async function badToken() {
  const client = open.ws('Bearer no.such.token');
  const outcome = await soon(client.iterate(stockQuery).next(), 'the refusal').then(
    (result) => result,
    (event) => event,
  );
  assert.equal(outcome.code, 4403, `${outcome.code} ${outcome.reason ?? JSON.stringify(outcome)}`);
  await client.dispose();
}

let failed = false;
async function check(name, run) {
  let error = null;
  try {
    await run();
  } catch (e) {
    error = e?.stack ?? JSON.stringify(e);
    failed = true;
  }
  console.log(JSON.stringify({ check: name, error }));
}

for (const kind of Object.keys(open)) {
  for (const run of [stock, order, independent]) {
    await check(`${kind}: ${run.name}`, async () => {
      const client = open[kind]();
      await run(client);
      await client.dispose();
    });
  }
  await check(`${kind}: anonymous`, () => anonymous(kind));
}
await check('ws: reconnects', reconnects);
await check('ws: bad token', badToken);
process.exit(failed ? 1 : 0);
