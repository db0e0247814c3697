import { type ApolloCache, isReference, type Reference } from '@apollo/client';

interface Edges {
  edges: readonly { node: Reference }[];
}

/** Puts an order on top of the customer's list, where that has been read. No answer says that the list has grown. */
export function addOrder(cache: ApolloCache, customerId: string, orderId: string) {
  const node = { __ref: `Order:${orderId}` };
  cache.modify({
    id: `Customer:${customerId}`,
    fields: {
      orders(list: Edges | Reference | null) {
        if (!list || isReference(list) || list.edges.some((edge) => edge.node.__ref === node.__ref)) {
          return list;
        }
        return { ...list, edges: [{ __typename: 'OrderEdge', cursor: '', node }, ...list.edges] };
      },
    },
  });
}

/** The same for a coupon that the customer has taken. */
export function addCouponIssue(cache: ApolloCache, customerId: string, issueId: string) {
  const issue = { __ref: `CouponIssue:${issueId}` };
  cache.modify({
    id: `Customer:${customerId}`,
    fields: {
      couponIssues: (list: { nodes: readonly Reference[] } | Reference | null) =>
        !list || isReference(list) || list.nodes.some((held) => held.__ref === issue.__ref) ? list : { ...list, nodes: [issue, ...list.nodes] },
    },
  });
}
