import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client';

const client = new ApolloClient({
  link: new HttpLink({
    uri: process.env.SHOP_URL ?? 'http://127.0.0.1:8080/graphql',
    headers: { Authorization: `Bearer ${process.env.SHOP_TOKEN}` },
  }),
  cache: new InMemoryCache(),
});

const PRODUCTS = gql`
  query Products {
    products(first: 3, orderBy: PRICE_ASC) {
      nodes {
        id
        name
        stock {
          available
        }
      }
    }
  }
`;

const PLACE_ORDER = gql`
  mutation PlaceOrder($input: PlaceOrderInput!) {
    placeOrder(input: $input) {
      order {
        id
        status
      }
      products {
        id
        stock {
          available
        }
      }
      userErrors {
        code
        message
      }
    }
  }
`;

const { data } = await client.query({ query: PRODUCTS });
const [cheapest] = data.products.nodes;
console.log(`${cheapest.name}: ${cheapest.stock.available} left`);

const answer = await client.mutate({
  mutation: PLACE_ORDER,
  variables: {
    input: {
      // The same key is never executed twice: keep it, and send it again, when no answer came.
      idempotencyKey: crypto.randomUUID(),
      lines: [{ productId: cheapest.id, quantity: 1 }],
      payment: { method: 'POINTS' },
    },
  },
});
const { order, userErrors } = answer.data.placeOrder;
if (userErrors.length > 0) {
  console.log(userErrors.map((e) => `${e.code}: ${e.message}`).join('\n'));
  process.exit(1);
}
console.log(`${order.id}: ${order.status}`);

// The mutation has brought the new stock with it: the cache is right, and nothing is fetched again.
const { products } = client.readQuery({ query: PRODUCTS });
console.log(`${products.nodes[0].name}: ${products.nodes[0].stock.available} left`);
