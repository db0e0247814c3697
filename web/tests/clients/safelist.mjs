// Apollo's tool writes the manifest of the shop, and Apollo Client names its operations by identifier.
//
//   node tests/clients/safelist.mjs generate DIRECTORY                   writes DIRECTORY/manifest.json
//   node tests/clients/safelist.mjs run DIRECTORY http://127.0.0.1:8080 TOKEN
//
// The server of the second step has a safelist of that file only.
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { generatePersistedQueryIdsFromManifest } from '@apollo/persisted-query-lists';
import { createClient } from 'graphql-ws';
import { print } from 'graphql';
import WebSocket from 'ws';

import { assert, check, post } from './checks.mjs';

const web = fileURLToPath(new URL('../..', import.meta.url));
const [step, directory, base, token] = process.argv.slice(2);
const manifestFile = join(directory, 'manifest.json');

async function generate() {
  const config = join(directory, 'persisted-query-manifest.config.json');
  // The tool takes one operation a file, and finds fragments by their names.
  const source = gql(await readFile(join(web, 'shop', 'operations.graphql'), 'utf8'));
  for (const definition of source.definitions) {
    await writeFile(join(directory, `${definition.kind}.${definition.name.value}.graphql`), print(definition));
  }
  await writeFile(config, JSON.stringify({ documents: [`${relative(web, directory)}/*.graphql`], output: manifestFile }));
  await check('the tool writes a manifest of the shop', async () => {
    const tool = join(web, 'node_modules', '.bin', 'generate-persisted-query-manifest');
    await promisify(execFile)(tool, ['--config', config], { cwd: web });
    const { format, operations } = JSON.parse(await readFile(manifestFile, 'utf8'));
    assert.equal(format, 'apollo-persisted-query-manifest');
    assert.ok(operations.length > 10, `${operations.length} operations`);
  });
}

async function run() {
  const url = `${base}/graphql`;
  const authorization = `Bearer ${token}`;
  const manifest = JSON.parse(await readFile(manifestFile, 'utf8'));
  const bodies = [];
  const http = (useGETForHashedQueries) =>
    ApolloLink.from([
      new PersistedQueryLink({
        ...generatePersistedQueryIdsFromManifest({ loadManifest: async () => manifest }),
        useGETForHashedQueries,
      }),
      new HttpLink({
        uri: url,
        headers: { authorization, 'apollo-require-preflight': '1' },
        fetch(address, options) {
          bodies.push(String(address) + (options.body ?? ''));
          return fetch(address, options);
        },
      }),
    ]);
  // The documents as the shop has them, with their fragments.
  const source = await readFile(join(web, 'shop', 'operations.graphql'), 'utf8');
  const all = gql(source);
  const named = (kind, name) => all.definitions.find((definition) => definition.kind === kind && definition.name.value === name);
  const document = (name) => {
    const definitions = new Set([named('OperationDefinition', name)]);
    for (const definition of definitions) {
      for (const [, spread] of print(definition).matchAll(/\.\.\.(\w+)/g)) {
        definitions.add(named('FragmentDefinition', spread));
      }
    }
    return { kind: 'Document', definitions: [...definitions] };
  };
  for (const byGet of [false, true]) {
    await check(`Apollo Client asks by identifier, ${byGet ? 'by GET' : 'by POST'}`, async () => {
      const client = new ApolloClient({ link: http(byGet), cache: new InMemoryCache() });
      bodies.length = 0;
      const products = await client.query({ query: document('Products'), variables: { first: 5, filter: {} } });
      assert.equal(products.error, undefined, String(products.error));
      assert.equal(products.data.products.edges.length > 0, true);
      const input = { idempotencyKey: crypto.randomUUID(), amount: '5' };
      const charged = await client.mutate({ mutation: document('ChargePoints'), variables: { input, first: 1 } });
      assert.deepEqual(charged.data.chargePoints.userErrors, []);
      assert.equal(bodies.length, 2, bodies.join('\n'));
      assert.ok(bodies.every((body) => body.includes('sha256Hash') && !/query Products|mutation ChargePoints/.test(body)), bodies.join('\n'));
      assert.equal(bodies[0].includes('?'), byGet);
    });
  }
  await check('a subscription is served by its identifier, and by its text, over a web socket', async () => {
    const socket = createClient({ url: url.replace('http', 'ws'), webSocketImpl: WebSocket, connectionParams: { authorization }, retryAttempts: 0 });
    const { id, body } = manifest.operations.find(({ name }) => name === 'StockChanged');
    for (const operation of [{ query: '', documentId: id }, { query: body }, { query: '', extensions: { persistedQuery: { version: 1, sha256Hash: id } } }]) {
      const stock = await new Promise((resolve, reject) => {
        socket.subscribe({ ...operation, variables: { productIds: ['prod_1'] } }, { next: resolve, error: reject, complete() {} });
      });
      assert.equal(stock.data.stockChanged.id, 'prod_1');
    }
    await socket.dispose();
  });
  await check('nothing else is served, and Apollo Client does not repeat it', async () => {
    const client = new ApolloClient({ link: new HttpLink({ uri: url, headers: { authorization } }), cache: new InMemoryCache() });
    const { error } = await client.query({ query: gql`query Other { shop { __typename } }`, errorPolicy: 'all' });
    assert.equal(error.errors[0].extensions.code, 'QUERY_NOT_IN_SAFELIST');
    const { errors } = await post(url, { extensions: { persistedQuery: { version: 1, sha256Hash: '0'.repeat(64) } } }, { authorization });
    assert.equal(errors[0].extensions.code, 'PERSISTED_QUERY_NOT_IN_LIST');
  });
}

await (step === 'generate' ? generate() : run());
