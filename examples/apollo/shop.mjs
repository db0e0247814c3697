import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client';

const shop = process.env.SHOP_URL ?? 'http://127.0.0.1:8080/graphql';

const client = new ApolloClient({
  link: new HttpLink({
    uri: shop,
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
        variants(first: 20) {
          nodes {
            id
            title
            stock {
              available
            }
          }
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
        variants(first: 20) {
          nodes {
            id
            stock {
              available
            }
          }
        }
      }
      userErrors {
        code
        message
      }
    }
  }
`;

// The attempt tells how a payment by card stands.
const ATTEMPT = gql`
  fragment Attempt on PaymentAttempt {
    id
    status
    reason
    action {
      redirectUrl
    }
  }
`;

const PAY_ORDER = gql`
  mutation PayOrder($input: PayOrderInput!) {
    payOrder(input: $input) {
      order {
        id
        status
      }
      attempt {
        ...Attempt
      }
      userErrors {
        code
        message
      }
    }
  }
  ${ATTEMPT}
`;

/**
 * The payload of a mutation, or the end of the program if the shop refuses it. The same key is never executed twice: if no answer comes, this
 * throws, and the caller runs it again with the key.
 */
async function run(mutation, idempotencyKey, input) {
  const answer = await client.mutate({ mutation, variables: { input: { idempotencyKey, ...input } } });
  const [payload] = Object.values(answer.data);
  if (payload.userErrors.length > 0) {
    console.log(payload.userErrors.map((e) => `${e.code}: ${e.message}`).join('\n'));
    process.exit(1);
  }
  return payload;
}

const { data } = await client.query({ query: PRODUCTS });
const [cheapest] = data.products.nodes;
const variant = cheapest.variants.nodes.find(({ stock }) => Number(stock.available) >= 2);
// A product without options has one variant, without a title.
const name = variant.title ? `${cheapest.name}, ${variant.title}` : cheapest.name;
console.log(`${name}: ${variant.stock.available} left`);

const lines = [{ variantId: variant.id, quantity: 1 }];
const { order } = await run(PLACE_ORDER, crypto.randomUUID(), { lines, payment: { method: 'POINTS' } });
console.log(`${order.id}: ${order.status}`);

// The mutation has brought the new stock with it: the cache is right, and nothing is fetched again.
const { products } = client.readQuery({ query: PRODUCTS });
const now = products.nodes[0].variants.nodes.find(({ id }) => id === variant.id);
console.log(`${name}: ${now.stock.available} left`);

// A card that its customer has to confirm, such as by 3-D Secure. A program in a browser makes the token with the script of the gateway; this one
// is of the test mode, and means such a card to the simulated gateway and to Stripe.
const token = 'pm_card_authenticationRequired';
const placed = await run(PLACE_ORDER, crypto.randomUUID(), { lines });
const { attempt } = await run(PAY_ORDER, crypto.randomUUID(), { orderId: placed.order.id, payment: { method: 'CARD', token } });
if (attempt.status !== 'REQUIRES_ACTION') {
  throw new Error(`the payment is ${attempt.status}: ${attempt.reason}`);
}
if (!attempt.action?.redirectUrl) {
  throw new Error('the gateway has no page for this payment: it is confirmed by its script, with the clientSecret');
}
console.log(`${placed.order.id}: to be confirmed`);

// In a browser, the customer goes to this page: location.assign(url). The program stands for the customer here.
const url = new URL(attempt.action.redirectUrl, shop);
const response = await fetch(url, { method: 'POST', body: new URLSearchParams({ decision: process.env.DECISION ?? 'confirm' }) });
if (!response.ok) {
  throw new Error(`the page of the gateway answers ${response.status}`);
}

// Back in the shop: go on with this payment, and begin no other. Had the bank refused it, this would be PAYMENT_DECLINED, and the order would
// still be PENDING: pay it by another card.
const paid = await run(PAY_ORDER, crypto.randomUUID(), { orderId: placed.order.id, payment: { method: 'CARD', attemptId: attempt.id } });
if (paid.order.status !== 'PAID') {
  throw new Error(`the order is ${paid.order.status}, and the payment ${paid.attempt?.status}`);
}
console.log(`${paid.order.id}: ${paid.order.status}`);
