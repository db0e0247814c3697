// Composes the shop with a small subgraph of reviews, and queries both through Apollo's gateway:
// node tests/clients/federation.mjs http://127.0.0.1:8080 TOKEN_OF_ALICE TOKEN_OF_BOB
// The server serves its schema as a subgraph (schema.federation).
import { createServer } from 'node:http';

import { ApolloGateway, IntrospectAndCompose, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { graphql, parse } from 'graphql';

import { assert, check } from './checks.mjs';

const [base, alice, bob] = process.argv.slice(2);

// The reviews know products, orders and customers by their keys only.
const reviews = [
  { id: 'review_1', text: 'Loud.', product: { id: 'prod_1' }, author: { id: 'user_alice' } },
  { id: 'review_2', text: 'Louder.', product: { id: 'prod_1' }, author: { id: 'user_bob' } },
  { id: 'review_3', text: 'Gone?', product: { id: 'prod_0' }, author: { id: 'user_bob' } },
];
const subgraph = buildSubgraphSchema({
  typeDefs: parse(`
    extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable"])
    type Query { reviews: [Review!]! reviewed(order: ID!): Order }
    type Review @key(fields: "id") { id: ID! text: String! product: Product author: Customer }
    type Product @key(fields: "id") { id: ID! reviews: [Review!]! }
    type Customer @key(fields: "id") { id: ID! reviews: [Review!]! }
    type Order @key(fields: "id", resolvable: false) { id: ID! }
    type PageInfo @shareable { hasNextPage: Boolean! }
  `),
  resolvers: {
    Query: { reviews: () => reviews, reviewed: (_, { order }) => ({ id: order }) },
    Product: { reviews: ({ id }) => reviews.filter(({ product }) => product.id === id) },
    Customer: { reviews: ({ id }) => reviews.filter(({ author }) => author.id === id) },
  },
});
const reviewServer = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) {
    body += chunk;
  }
  const { query, variables, operationName } = JSON.parse(body);
  const result = await graphql({ schema: subgraph, source: query, variableValues: variables, operationName });
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(result));
});
await new Promise((resolve) => reviewServer.listen(0, '127.0.0.1', resolve));

// The gateway hands the caller's token on: the shop decides what the caller may see.
const gateway = new ApolloGateway({
  supergraphSdl: new IntrospectAndCompose({
    subgraphs: [
      { name: 'shop', url: `${base}/graphql` },
      { name: 'reviews', url: `http://127.0.0.1:${reviewServer.address().port}/` },
    ],
  }),
  buildService: ({ url }) =>
    new RemoteGraphQLDataSource({
      url,
      willSendRequest({ request, context }) {
        if (context.token) {
          request.http.headers.set('authorization', `Bearer ${context.token}`);
        }
      },
    }),
});
const server = new ApolloServer({ gateway, includeStacktraceInErrorResponses: false });
let started = false;
await check('the two subgraphs compose', async () => {
  await server.start();
  started = true;
});

async function ask(query, { variables, token } = {}) {
  const { body } = await server.executeOperation({ query, variables }, { contextValue: { token } });
  return JSON.parse(JSON.stringify(body.singleResult)); // plain objects, as a client has them
}

if (started) {
  await check('entities of the shop are found by their keys', async () => {
    const { data, errors } = await ask('{ reviews { text product { id sku name price { amountMinor } stock { available } } } }');
    assert.equal(errors, undefined, JSON.stringify(errors));
    assert.equal(data.reviews[0].product.sku, 'KB-75');
    assert.ok(Number(data.reviews[1].product.stock.available) > 0);
    assert.equal(data.reviews[2].product, null);
  });
  await check('the other subgraph adds to what the shop lists', async () => {
    const { data, errors } = await ask('{ product(id: "prod_1") { name reviews { text } } }');
    assert.equal(errors, undefined, JSON.stringify(errors));
    assert.deepEqual(data.product, { name: 'Mechanical keyboard', reviews: [{ text: 'Loud.' }, { text: 'Louder.' }] });
  });
  await check('a customer sees nobody else', async () => {
    const query = '{ reviews { author { id name wallet { balance } } } me { id reviews { text } } }';
    const { data } = await ask(query, { token: alice });
    assert.equal(data.me.id, 'user_alice');
    assert.deepEqual(data.me.reviews, [{ text: 'Loud.' }]);
    assert.ok(data.reviews[0].author.wallet.balance);
    assert.equal(data.reviews[1].author?.name ?? null, null);
    assert.equal(data.reviews[1].author?.wallet ?? null, null);
  });
  await check("another customer's order is not shown", async () => {
    const query = 'query ($id: ID!) { reviewed(order: $id) { id status lines { product { name reviews { text } } } } }';
    const list = await ask('{ me { orders { nodes { id } } } }', { token: alice });
    const variables = { id: list.data.me.orders.nodes[0].id };
    const own = await ask(query, { variables, token: alice });
    assert.equal(own.errors, undefined, JSON.stringify(own.errors));
    assert.ok(own.data.reviewed.status && own.data.reviewed.lines.length > 0);
    for (const token of [bob, undefined]) {
      const other = await ask(query, { variables, token });
      assert.equal(other.data?.reviewed?.status ?? null, null);
      assert.equal(other.data?.reviewed?.lines ?? null, null);
    }
  });
  await check('mutations go through the gateway', async () => {
    const { data, errors } = await ask(
      'mutation ($input: ChargePointsInput!) { chargePoints(input: $input) { wallet { id balance } userErrors { message } } }',
      { variables: { input: { idempotencyKey: crypto.randomUUID(), amount: '5' } }, token: alice },
    );
    assert.equal(errors, undefined, JSON.stringify(errors));
    assert.deepEqual(data.chargePoints.userErrors, []);
  });
}
await server.stop().catch(() => {});
reviewServer.close();
