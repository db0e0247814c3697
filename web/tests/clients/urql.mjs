// Puts urql with its normalised cache through the scenario: node tests/clients/urql.mjs http://127.0.0.1:8080 TOKEN
import { Client, fetchExchange } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { relayPagination } from '@urql/exchange-graphcache/extras';
import { getIntrospectionQuery } from 'graphql';

import { run } from './scenario.mjs';

const [base, token] = process.argv.slice(2);
const url = `${base}/graphql`;

const introspection = await fetch(url, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ query: getIntrospectionQuery() }),
});
const { data: schema } = await introspection.json();

const embedded = () => null; // has no identifier, and lives inside what has one
const keys = Object.fromEntries(
  schema.__schema.types
    .filter((type) => type.kind === 'OBJECT' && !type.fields.some((field) => field.name === 'id'))
    .map((type) => [type.name, embedded]),
);

function open(token) {
  let requests = 0;
  const client = new Client({
    url,
    preferGetMethod: false,
    fetchOptions: { headers: token ? { authorization: `Bearer ${token}` } : {} },
    fetch(...args) {
      requests++;
      return fetch(...args);
    },
    exchanges: [
      cacheExchange({ schema, keys, resolvers: { Customer: { orders: relayPagination() } } }),
      fetchExchange,
    ],
  });
  const dataOf = async (result) => {
    const { data, error } = await result;
    if (error) {
      throw error;
    }
    return data;
  };
  const ask = (query, variables) => dataOf(client.query(query, variables, { requestPolicy: 'network-only' }).toPromise());
  return {
    requests: () => requests,
    query: ask,
    cached: (query, variables) => client.readQuery(query, variables, { requestPolicy: 'cache-only' })?.data ?? null,
    mutate: (mutation, variables) => dataOf(client.mutation(mutation, variables).toPromise()),
    more: ask,
    async refused(query) {
      const { error } = await client.query(query, {}).toPromise();
      return error.graphQLErrors[0].extensions;
    },
  };
}

await run(open, token);
