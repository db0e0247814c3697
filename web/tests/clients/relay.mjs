// Relay's compiler takes the schema, persists its operations in a file, and its runtime names them by identifier.
//
//   node tests/clients/relay.mjs compile DIRECTORY                        writes DIRECTORY/persisted.json
//   node tests/clients/relay.mjs run DIRECTORY http://127.0.0.1:8080 TOKEN
//
// The server of the second step has a safelist of that file only.
import { execFile } from 'node:child_process';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';

import WebSocket from 'ws';
import { createClient } from 'graphql-ws';

import { assert, check, post } from './checks.mjs';

const require = createRequire(import.meta.url);
const [step, directory, base, token] = process.argv.slice(2);

// What a page of Relay has: a page of a list that is joined (@connection, which needs node and cursors), an object by its global identifier
// (@refetchable), a mutation, and a subscription.
const source = `
graphql\`fragment relayOrders on Customer
  @argumentDefinitions(count: { type: "Int", defaultValue: 1 }, cursor: { type: "String" })
  @refetchable(queryName: "relayOrdersPageQuery") {
  id
  orders(first: $count, after: $cursor) @connection(key: "relay_orders") { edges { node { id status } } }
}\`;
graphql\`query relayPageQuery { me { id name ...relayOrders } }\`;
graphql\`query relayNodeQuery($id: ID!) { node(id: $id) { __typename id ... on Product { name sku } } }\`;
graphql\`mutation relayStockMutation($input: StockAdjustInput!) {
  stockAdjust(input: $input) { product { id stock { available } } userErrors { __typename code message } }
}\`;
graphql\`mutation relayOrderMutation($input: PlaceOrderInput!) {
  placeOrder(input: $input) { order { id status } userErrors { code message } }
}\`;
graphql\`subscription relayStockSubscription($ids: [ID!]!) { stockChanged(productIds: $ids) { id stock { available } } }\`;
`;

async function compile() {
  await mkdir(join(directory, 'src'), { recursive: true });
  await copyFile(new URL('../../../graph/schema.graphql', import.meta.url), join(directory, 'schema.graphql'));
  await writeFile(join(directory, 'src', 'relay.js'), source);
  await writeFile(join(directory, 'persisted.json'), '{}');
  await writeFile(
    join(directory, 'relay.config.json'),
    JSON.stringify({
      src: 'src',
      schema: 'schema.graphql',
      language: 'javascript',
      artifactDirectory: 'artifacts',
      eagerEsModules: false,
      customScalarTypes: { DateTime: 'string', UUID: 'string', Int64: 'string' },
      persistConfig: { file: 'persisted.json', algorithm: 'MD5' },
    }),
  );
  await mkdir(join(directory, 'artifacts'), { recursive: true });
  // Node would take the artifacts for ES modules otherwise.
  await writeFile(join(directory, 'artifacts', 'package.json'), '{"type": "commonjs"}');
  await check('the compiler takes the schema', async () => {
    const { stdout, stderr } = await promisify(execFile)(require('relay-compiler'), ['--repersist'], { cwd: directory });
    assert.doesNotMatch(stdout + stderr, /error|warning/i);
  });
}

async function run() {
  const { Environment, Network, Observable, RecordSource, Store, commitMutation, createOperationDescriptor, fetchQuery, getRequest, requestSubscription } =
    require('relay-runtime');
  const url = `${base}/graphql`;
  const authorization = `Bearer ${token}`;
  const socket = createClient({ url: url.replace('http', 'ws'), webSocketImpl: WebSocket, connectionParams: { authorization }, retryAttempts: 0 });
  const sent = [];
  const environment = new Environment({
    store: new Store(new RecordSource()),
    network: Network.create(
      (operation, variables) => {
        assert.equal(operation.text, null, 'the text was compiled away');
        sent.push(operation.id);
        return post(url, { doc_id: operation.id, variables }, { authorization });
      },
      (operation, variables) =>
        Observable.create((sink) => socket.subscribe({ query: '', doc_id: operation.id, variables }, sink)),
    ),
  });
  const artifact = (name) => require(join(directory, 'artifacts', `${name}.graphql.js`));
  const ask = (name, variables) => fetchQuery(environment, artifact(name), variables).toPromise();
  const read = (name, variables) =>
    environment.lookup(createOperationDescriptor(getRequest(artifact(name)), variables).fragment).data;

  let customer;
  const place = { idempotencyKey: crypto.randomUUID(), lines: [{ productId: 'prod_2', quantity: 1 }], payment: { method: 'POINTS' } };
  await check('a mutation, so that there are two orders', async () => {
    const { placeOrder } = await new Promise((resolve, reject) =>
      commitMutation(environment, { mutation: artifact('relayOrderMutation'), variables: { input: place }, onCompleted: resolve, onError: reject }),
    );
    assert.deepEqual([...placeOrder.userErrors], []);
  });
  await check('a page of a connection, and the next one', async () => {
    const { me } = await ask('relayPageQuery', {});
    customer = me.id;
    assert.equal(customer, 'user_alice');
    const page = artifact('relayOrdersPageQuery');
    const first = environment.getStore().getSource();
    const key = first.getRecordIDs().find((id) => id.endsWith('__relay_orders_connection'));
    assert.ok(key, 'Relay joined the list');
    const before = first.get(key).edges.__refs.length;
    const { endCursor, hasNextPage } = first.get(first.get(key).pageInfo.__ref);
    assert.equal(before, 1);
    assert.equal(hasNextPage, true, 'alice has several orders');
    await fetchQuery(environment, page, { id: customer, count: 1, cursor: endCursor }).toPromise();
    assert.equal(environment.getStore().getSource().get(key).edges.__refs.length, 2);
  });
  await check('an object by its global identifier', async () => {
    const { node } = await ask('relayNodeQuery', { id: 'prod_1' });
    assert.deepEqual({ ...node }, { __typename: 'Product', id: 'prod_1', name: 'Mechanical keyboard', sku: 'KB-75' });
    assert.equal(read('relayNodeQuery', { id: 'prod_1' }).node.name, 'Mechanical keyboard');
  });
  await check('a subscription tells what a mutation has changed, and both reach the store', async () => {
    const events = [];
    let heard;
    const first = new Promise((resolve) => (heard = resolve));
    const changed = new Promise((resolve, reject) => {
      requestSubscription(environment, {
        subscription: artifact('relayStockSubscription'),
        variables: { ids: ['prod_1'] },
        onNext({ stockChanged }) {
          events.push(Number(stockChanged.stock.available));
          heard();
          if (events.length > 1 && events.at(-1) === events[0] + 3) {
            resolve();
          }
        },
        onError: reject,
      });
    });
    await first;
    await new Promise((resolve, reject) =>
      commitMutation(environment, {
        mutation: artifact('relayStockMutation'),
        variables: { input: { idempotencyKey: crypto.randomUUID(), productId: 'prod_1', delta: '3' } },
        onCompleted({ stockAdjust }) {
          assert.deepEqual([...stockAdjust.userErrors], []);
          resolve();
        },
        onError: reject,
      }),
    );
    await changed;
  });
  await check('all were named by identifier, and nothing else is served', async () => {
    assert.ok(sent.length >= 4 && sent.every((id) => /^[0-9a-f]{32}$/.test(id)), sent.join());
    const { errors } = await post(url, { query: '{ __typename }' }, { authorization });
    assert.equal(errors[0].extensions.code, 'QUERY_NOT_IN_SAFELIST');
    const unknown = await post(url, { doc_id: '0'.repeat(32) }, { authorization });
    assert.equal(unknown.errors[0].extensions.code, 'PERSISTED_QUERY_NOT_IN_LIST');
  });
  await socket.dispose();
}

await (step === 'compile' ? compile() : run());
