import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { relayStylePagination } from '@apollo/client/utilities';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';

import possibleTypes from '../common/possibleTypes';
import { Connection } from './connection';

export interface Shop {
  client: ApolloClient;
  /** Whether subscriptions arrive at the moment. */
  connection: Connection;
  close: () => void;
}

/** Queries and mutations by POST, subscriptions over graphql-transport-ws, all with the customer's token. */
export function openShop(endpoint: string, token: string): Shop {
  const headers = { Authorization: `Bearer ${token}` };
  const connection = new Connection();
  const socket = createClient({
    url: webSocketURL(endpoint),
    connectionParams: headers,
    // For ever, and whatever the reason: meanwhile the shop polls.
    retryAttempts: Number.POSITIVE_INFINITY,
    shouldRetry: () => true,
    retryWait: (retries) => wait(Math.min(500 * 2 ** retries, 15_000) * (0.5 + Math.random() / 2)),
    on: { connected: () => connection.set(true), closed: () => connection.set(false) },
  });
  const client = new ApolloClient({
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(socket),
      new HttpLink({ uri: endpoint, headers }),
    ),
    cache: createCache(),
  });
  return {
    client,
    connection,
    close() {
      client.stop();
      void socket.dispose();
    },
  };
}

function createCache() {
  return new InMemoryCache({
    ...possibleTypes,
    typePolicies: {
      Query: { fields: { products: relayStylePagination(['filter', 'orderBy']), coupons: relayStylePagination() } },
      Customer: { fields: { orders: relayStylePagination() } },
      Wallet: { fields: { entries: relayStylePagination() } },
    },
  });
}

function webSocketURL(endpoint: string): string {
  const url = new URL(endpoint, window.location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  return url.href;
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
