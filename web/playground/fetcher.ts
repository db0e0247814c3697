import type { Fetcher, FetcherParams, Observable } from '@graphiql/toolkit';
import { type ExecutionResult, getOperationAST, parse } from 'graphql';
import { createClient, type Sink } from 'graphql-ws';

import type { Config } from './config';

type Headers = Record<string, string>;

/** Queries and mutations by POST, subscriptions over graphql-transport-ws; nothing but the server of this page. */
export function createFetcher(config: Config): Fetcher {
  return (params, options) => {
    // The first introspection runs before the header editor exists.
    const headers = (options?.headers ?? config.headers) as Headers;
    return isSubscription(params)
      ? subscribe(webSocketURL(config.subscriptionEndpoint), params, headers)
      : post(config.endpoint, params, headers);
  };
}

function isSubscription(params: FetcherParams): boolean {
  try {
    return getOperationAST(parse(params.query), params.operationName)?.operation === 'subscription';
  } catch {
    return false; // A syntax error is for the server to report.
  }
}

async function post(endpoint: string, params: FetcherParams, headers: Headers) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      accept: 'application/graphql-response+json, application/json;q=0.9',
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify(params),
  });
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`HTTP ${response.status} ${response.statusText}: ${text.slice(0, 300)}`);
  }
}

function webSocketURL(endpoint: string): string {
  const url = new URL(endpoint, window.location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  return url.href;
}

/** A browser cannot set headers on a WebSocket: they travel as the payload of connection_init. */
function subscribe(url: string, params: FetcherParams, headers: Headers): Observable<ExecutionResult> {
  return {
    subscribe(observer: Sink<ExecutionResult>) {
      const client = createClient({ url, connectionParams: headers, retryAttempts: 0 });
      const stop = client.subscribe(
        { ...params, operationName: params.operationName ?? undefined, variables: params.variables as Record<string, unknown> },
        { next: observer.next, complete: observer.complete, error: (cause) => observer.error(readable(cause)) },
      );
      return {
        unsubscribe() {
          stop();
          void client.dispose();
        },
      };
    },
  } as Observable<ExecutionResult>;
}

/** graphql-ws reports a refused connection as an event, which GraphiQL would print as {"isTrusted":true}. */
function readable(cause: unknown): unknown {
  if (cause instanceof CloseEvent) {
    return new Error(`The subscription's connection was closed: ${cause.code} ${cause.reason}`.trim());
  }
  if (cause instanceof Event) {
    return new Error("The subscription's connection failed.");
  }
  return cause;
}
