// What every client is put through. A client is an adapter of five functions:
//
//   query(document, variables)    asks the server, and fills the cache
//   cached(document, variables)   reads the cache, and never asks; null where something is missing
//   mutate(document, variables)   returns data
//   more(document, variables)     asks for a further page of a list whose first page is cached
//   refused(document)             returns the extensions of the first of errors[]
//
// and requests(), the number of requests that it has sent.
import assert from 'node:assert/strict';

import { parse } from 'graphql';

const money = 'amountMinor currency';
const userErrors = `userErrors {
  __typename code message field retryable retryAfterMs
  ... on OutOfStockError { productId requested available }
  ... on InsufficientFundsError { requested available }
  ... on CouponExhaustedError { couponId }
  ... on VersionConflictError { currentVersion }
}`;
const product = 'id name version price { amountMinor currency } stock { available }';
const order = `id status total { ${money} } payment { id status method } couponIssue { id status }`;
const wallet = 'id balance';
const account = `id name balance { ${money} }`;
const coupon = 'id name quota issued';
const couponIssue = 'id status orderId';
const meta = 'meta { strategy replayed persistence }';

// Everything that the mutations below change. `asOf` and the like are left out: they differ from answer to answer.
const state = parse(`query State($product: ID!, $coupon: ID!, $order: ID!) {
  product(id: $product) { ${product} }
  coupon(id: $coupon) { ${coupon} }
  order(id: $order) { ${order} }
  me { id wallet { ${wallet} } accounts { nodes { ${account} } } }
}`);

const mutation = (name, input, payload) =>
  parse(`mutation ($input: ${input}!) { ${name}(input: $input) { ${payload} ${userErrors} } }`);
const changedByOrder = `order { ${order} } products { ${product} } wallet { ${wallet} } account { ${account} }
  couponIssue { ${couponIssue} } ${meta}`;
const mutations = {
  placeOrder: mutation('placeOrder', 'PlaceOrderInput', changedByOrder),
  payOrder: mutation('payOrder', 'PayOrderInput', changedByOrder),
  cancelOrder: mutation('cancelOrder', 'CancelOrderInput', changedByOrder),
  issueCoupon: mutation('issueCoupon', 'IssueCouponInput', `coupon { ${coupon} } couponIssue { ${couponIssue} } ${meta}`),
  chargePoints: mutation('chargePoints', 'ChargePointsInput', `wallet { ${wallet} } ${meta}`),
  transfer: mutation('transfer', 'TransferInput', `fromAccount { ${account} } toAccount { ${account} } ${meta}`),
  stockAdjust: mutation('stockAdjust', 'StockAdjustInput', `product { ${product} } ${meta}`),
  productUpdate: mutation('productUpdate', 'ProductUpdateInput', `product { ${product} }`),
  couponCreate: mutation('couponCreate', 'CouponCreateInput', `coupon { ${coupon} }`),
};

const orders = parse(`query Orders($first: Int!, $after: String) {
  me { id orders(first: $first, after: $after) {
    edges { cursor node { id status } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  } }
}`);

const key = () => crypto.randomUUID();
const plain = (data) => JSON.parse(JSON.stringify(data));

/** Runs all checks, and further ones, over clients that `open(token)` makes; token null stands for a visitor. */
export async function run(open, token, further = {}) {
  const checks = { cache, pagination, errors, replay, ...further };
  let failed = false;
  for (const [name, check] of Object.entries(checks)) {
    let error = null;
    try {
      await check(open, token);
    } catch (e) {
      error = e.stack;
      failed = true;
    }
    console.log(JSON.stringify({ check: name, error }));
  }
  process.exit(failed ? 1 : 0);
}

async function done(client, name, input) {
  const payload = plain(await client.mutate(mutations[name], { input }))[name];
  assert.deepEqual(payload.userErrors, [], name);
  return payload;
}

/** After each mutation, and without a further request, the cache says what the server says. */
async function cache(open, token) {
  const client = open(token);
  const placed = await done(open(token), 'placeOrder', {
    idempotencyKey: key(),
    lines: [{ productId: 'prod_5', quantity: 2 }],
  });
  const variables = { product: 'prod_5', coupon: 'coup_welcome', order: placed.order.id };
  await client.query(state, variables);

  const mutate = async (name, input) => {
    const before = plain(client.cached(state, variables));
    const sent = client.requests();
    const payload = await done(client, name, input);
    const after = plain(client.cached(state, variables));
    assert.equal(client.requests(), sent + 1, `${name}: more than the mutation was sent`);
    assert.notDeepEqual(after, before, `${name}: nothing has changed in the cache`);
    assert.deepEqual(after, plain(await open(token).query(state, variables)), `${name}: cache and server differ`);
    return payload;
  };

  await mutate('chargePoints', { idempotencyKey: key(), amount: '700' });
  const { couponIssue: issue } = await mutate('issueCoupon', { idempotencyKey: key(), couponId: 'coup_welcome' });
  await mutate('payOrder', { idempotencyKey: key(), orderId: placed.order.id, payment: { method: 'POINTS' } });
  await mutate('cancelOrder', { idempotencyKey: key(), orderId: placed.order.id });
  await mutate('placeOrder', {
    idempotencyKey: key(),
    lines: [{ productId: 'prod_5', quantity: 3 }],
    couponIssueId: issue.id,
    payment: { method: 'ACCOUNT', accountId: 'acct_alice' },
  });
  await mutate('transfer', {
    idempotencyKey: key(),
    fromAccountId: 'acct_alice',
    toAccountId: 'acct_bob',
    amount: { amountMinor: '250', currency: 'USD' },
  });
  await mutate('stockAdjust', { idempotencyKey: key(), productId: 'prod_5', delta: '4' });
  const { version, name } = client.cached(state, variables).product;
  await mutate('productUpdate', { id: 'prod_5', version, name: `${name}!` });
}

/** Pages join to one list, without gaps and repetitions. */
async function pagination(open, token) {
  for (let i = 0; i < 5; i++) {
    await done(open(token), 'placeOrder', { idempotencyKey: key(), lines: [{ productId: 'prod_6', quantity: 1 }] });
  }
  const all = plain(await open(token).query(orders, { first: 100 })).me.orders;
  assert.ok(all.edges.length > 6, `${all.edges.length} orders are too few to page through`);
  assert.equal(all.pageInfo.hasNextPage, false);

  const client = open(token);
  await client.query(orders, { first: 2 });
  for (let pages = 1; ; pages++) {
    const list = plain(client.cached(orders, { first: 2 })).me.orders;
    assert.equal(list.edges.length, Math.min(2 * pages, all.edges.length), `after ${pages} pages`);
    if (!list.pageInfo.hasNextPage) {
      assert.deepEqual(list.edges.map((e) => e.node), all.edges.map((e) => e.node));
      return;
    }
    await client.more(orders, { first: 2, after: list.pageInfo.endCursor });
  }
}

/** Refusals are objects with types and fields of their own, what is wrong with the request is in errors[]. */
async function errors(open, token) {
  const client = open(token);
  const refused = async (name, input, expected) => {
    const payload = plain(await client.mutate(mutations[name], { input }))[name];
    const [found] = payload.userErrors;
    assert.equal(payload.userErrors.length, 1, name);
    assert.ok(found.message.length > 0, name);
    const seen = Object.fromEntries(Object.keys(expected).map((field) => [field, found[field]]));
    assert.deepEqual(seen, expected, name);
    return payload;
  };
  const { product: before } = plain(await client.query(state, { product: 'prod_7', coupon: 'coup_half', order: 'ord_0' }));

  await refused(
    'placeOrder',
    { idempotencyKey: key(), lines: [{ productId: 'prod_7', quantity: 1000 }] },
    {
      __typename: 'OutOfStockError', code: 'OUT_OF_STOCK', productId: 'prod_7', requested: '1000',
      available: before.stock.available, retryable: true, field: ['input', 'lines', '0', 'quantity'],
    },
  );
  await refused(
    'transfer',
    {
      idempotencyKey: key(), fromAccountId: 'acct_alice', toAccountId: 'acct_bob',
      amount: { amountMinor: '900000000000', currency: 'USD' },
    },
    { __typename: 'InsufficientFundsError', code: 'INSUFFICIENT_FUNDS', requested: '900000000000' },
  );
  await refused(
    'productUpdate',
    { id: 'prod_7', version: before.version + 7, name: 'Never' },
    { __typename: 'VersionConflictError', code: 'VERSION_CONFLICT', currentVersion: before.version },
  );
  const { coupon: single } = await done(client, 'couponCreate', {
    name: 'One only', discountKind: 'FIXED', discountValue: '100', quota: '1', perUserLimit: 2,
  });
  await done(client, 'issueCoupon', { idempotencyKey: key(), couponId: single.id });
  await refused(
    'issueCoupon',
    { idempotencyKey: key(), couponId: single.id },
    { __typename: 'CouponExhaustedError', code: 'COUPON_EXHAUSTED', couponId: single.id },
  );
  await refused(
    'chargePoints',
    { idempotencyKey: key(), amount: '0' },
    { __typename: 'InputError', code: 'INVALID_INPUT', field: ['input', 'amount'] },
  );

  assert.equal((await open(null).refused(parse('{ me { id } }'))).code, 'UNAUTHENTICATED');
  assert.equal((await client.refused(parse('{ nothing }'))).code, 'GRAPHQL_VALIDATION_FAILED');
}

/** Whoever repeats a mutation gets the first answer, and the cache stays as it is. */
async function replay(open, token) {
  const client = open(token);
  const input = {
    idempotencyKey: key(),
    lines: [{ productId: 'prod_5', quantity: 1 }],
    payment: { method: 'POINTS' },
  };
  const first = await done(client, 'placeOrder', input);
  const variables = { product: 'prod_5', coupon: 'coup_welcome', order: first.order.id };
  const before = plain(await client.query(state, variables));
  const again = await done(client, 'placeOrder', input);
  assert.equal(first.meta.replayed, false);
  assert.equal(again.meta.replayed, true);
  assert.deepEqual(again.order, first.order);
  assert.deepEqual(plain(client.cached(state, variables)), before);
}
