// Puts Apollo Client through the scenario: node tests/clients/apollo.mjs 3|4 http://127.0.0.1:8080 TOKEN
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

import { parse } from 'graphql';

import { run } from './scenario.mjs';

const [version, base, token] = process.argv.slice(2);

const modules = {
  3: async () => ({
    ...(await import('apollo-client-3/core/index.js')),
    ...(await import('apollo-client-3/link/persisted-queries/index.js')),
    ...(await import('apollo-client-3/utilities/index.js')),
  }),
  4: async () => ({
    ...(await import('@apollo/client')),
    ...(await import('@apollo/client/link/persisted-queries')),
    ...(await import('@apollo/client/utilities')),
  }),
};
const { ApolloClient, HttpLink, InMemoryCache, createPersistedQueryLink, relayStylePagination } = await modules[version]();

function open(token) {
  let requests = 0;
  const client = new ApolloClient({
    link: new HttpLink({
      uri: `${base}/graphql`,
      headers: token ? { authorization: `Bearer ${token}` } : {},
      fetch(...args) {
        requests++;
        return fetch(...args);
      },
    }),
    cache: new InMemoryCache({ typePolicies: { Customer: { fields: { orders: relayStylePagination() } } } }),
  });
  return {
    requests: () => requests,
    query: async (query, variables) => (await client.query({ query, variables, fetchPolicy: 'network-only' })).data,
    cached: (query, variables) => client.readQuery({ query, variables }),
    mutate: async (mutation, variables) => (await client.mutate({ mutation, variables })).data,
    more: (query, { first, after }) =>
      client.watchQuery({ query, variables: { first } }).fetchMore({ variables: { after } }),
    async refused(query) {
      try {
        await client.query({ query });
      } catch (error) {
        const [first] = error.graphQLErrors ?? error.errors ?? error.networkError.result.errors;
        return first.extensions;
      }
      throw new Error('not refused');
    },
  };
}

/** A document goes over the wire once; after that, its hash does, whoever sends it. */
async function persisted() {
  const sent = [];
  const ask = (useGETForHashedQueries) => {
    const hashes = createPersistedQueryLink({
      sha256: (text) => createHash('sha256').update(text).digest('hex'),
      useGETForHashedQueries,
    });
    const http = new HttpLink({
      uri: `${base}/graphql`,
      headers: { authorization: `Bearer ${token}`, 'apollo-require-preflight': 'true' },
      fetch(address, options) {
        sent.push(`${options.method} ${String(options.body ?? address).includes('query Persisted') ? 'document' : 'hash'}`);
        return fetch(address, options);
      },
    });
    const client = new ApolloClient({ link: hashes.concat(http), cache: new InMemoryCache() });
    return client.query({ query: parse('query Persisted { product(id: "prod_8") { id name } }') });
  };
  for (const useGET of [false, false, true]) {
    assert.equal((await ask(useGET)).data.product.name, 'Flash sale console');
  }
  assert.deepEqual(sent, ['POST hash', 'POST document', 'POST hash', 'GET hash']);
}

await run(open, token, { persisted });
