import { ApolloClient, HttpLink, InMemoryCache } from '@apollo/client';
import { relayStylePagination } from '@apollo/client/utilities';

import possibleTypes from '../common/possibleTypes';

/** Queries and mutations by POST, with the administrator's token in a header: an address with a token would be logged on its way. */
export function openClient(endpoint: string, token: string): ApolloClient {
  return new ApolloClient({
    link: new HttpLink({ uri: endpoint, headers: { Authorization: `Bearer ${token}` } }),
    cache: new InMemoryCache({
      ...possibleTypes,
      typePolicies: {
        Query: {
          fields: {
            orders: relayStylePagination(['customerId', 'filter', 'orderBy']),
            products: relayStylePagination(['filter', 'orderBy']),
            coupons: relayStylePagination(),
            customers: relayStylePagination(['filter', 'orderBy']),
            adjustments: relayStylePagination(),
            categories: relayStylePagination(),
          },
        },
        Customer: { fields: { holds: relayStylePagination(['status']) } },
        ProductVariant: { fields: { stockHistory: relayStylePagination() } },
      },
    }),
  });
}
