import type { OperationVariables, TypedDocumentNode } from '@apollo/client';
import { useSubscription } from '@apollo/client/react';
import { useEffect, useState } from 'react';

import { useConnected } from './connection';

/** How long to let a server rest that ended a subscription. */
const pause = 10_000;

/**
 * Keeps a subscription, whose events go into the cache, and tells whether they arrive at the moment. Where they do not,
 * because the server or a proxy has no WebSocket or the network is away, the caller polls.
 */
export function useLive<Data, V extends OperationVariables>(
  document: TypedDocumentNode<Data, V>,
  variables: V,
  skip: boolean,
): boolean {
  const connected = useConnected();
  const [ended, setEnded] = useState(false);
  const { restart } = useSubscription(document as TypedDocumentNode<Data, OperationVariables>, {
    variables,
    skip,
    ignoreResults: true,
    onError: () => setEnded(true),
    onComplete: () => setEnded(true),
  });
  useEffect(() => {
    if (!ended || skip) {
      return;
    }
    const timer = setTimeout(() => {
      setEnded(false);
      restart();
    }, pause);
    return () => clearTimeout(timer);
  }, [ended, skip, restart]);
  return connected && !ended;
}
