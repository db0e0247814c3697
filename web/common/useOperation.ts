import type { OperationVariables, TypedDocumentNode } from '@apollo/client';
import { useMutation } from '@apollo/client/react';

import type { RefusalFragment } from './gql/operations';
import { useIdempotencyKey } from './idempotency';

type Variables = OperationVariables & { input: { idempotencyKey: string } };
interface Payload {
  userErrors: readonly RefusalFragment[];
}
type Input<V extends Variables> = Omit<V['input'], 'idempotencyKey'>;

/** A mutation of one payload that may be repeated safely. What it answers goes into the cache, and so to all views. */
export function useOperation<Data, V extends Variables, P extends Payload>(
  document: TypedDocumentNode<Data, V>,
  payloadOf: (data: Data) => P | null,
) {
  const keys = useIdempotencyKey();
  const [mutate, { data, error, loading }] = useMutation<Data, Variables>(document as TypedDocumentNode<Data, Variables>);

  /** Returns the payload, or null where no answer came: then `error` says why. */
  const run = async (input: Input<V>, others?: Omit<V, 'input'>): Promise<P | null> => {
    const variables = { ...others, input: { ...input, idempotencyKey: keys.keyFor(input) } };
    // What was carried out is told so, also if something of its payload could not be read.
    const answer = await mutate({ variables, errorPolicy: 'all' }).catch(() => null);
    const payload = answer?.data ? payloadOf(answer.data as Data) : null;
    if (payload) {
      keys.settle(payload.userErrors);
    }
    return payload;
  };
  return { run, error, busy: loading, payload: data ? payloadOf(data as Data) : null };
}
