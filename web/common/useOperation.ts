import type { OperationVariables, TypedDocumentNode } from '@apollo/client';
import { useMutation } from '@apollo/client/react';

import { useIdempotencyKey } from './idempotency';
import type { Refusal } from './Outcome';

type Variables = OperationVariables & { input: { idempotencyKey?: string | null } };
interface Payload {
  userErrors: readonly Refusal[];
}
type Input<V extends Variables> = Omit<V['input'], 'idempotencyKey'>;

/** A mutation of one payload that may be repeated safely. What it answers goes into the cache, and so to all views. */
export function useOperation<Data, V extends Variables, P extends Payload>(
  document: TypedDocumentNode<Data, V>,
  payloadOf: (data: Data) => P | null,
) {
  const keys = useIdempotencyKey();
  const [mutate, { data, error, loading, reset }] = useMutation<Data, Variables>(document as TypedDocumentNode<Data, Variables>);

  /** Returns the payload, or null where no answer came: then `error` says why. */
  const run = async (input: Input<V>, others?: Omit<V, 'input'>): Promise<P | null> => {
    const variables = { ...others, input: { ...input, idempotencyKey: keys.keyFor(input) } };
    // What was carried out is told so, also if something of its payload could not be read.
    const answer = await mutate({ variables, errorPolicy: 'all' }).catch(() => null);
    const payload = answer?.data ? payloadOf(answer.data as Data) : null;
    if (payload) {
      keys.settle(input, payload.userErrors);
    }
    return payload;
  };
  return { run, reset, error, busy: loading, payload: data ? payloadOf(data as Data) : null };
}
