import { CombinedGraphQLErrors } from '@apollo/client/errors';
import type { ReactNode } from 'react';

/** Why the server refuses a request, as far as it is shown. */
export interface Refusal {
  code: string;
  message: string;
  field?: readonly string[] | null;
  retryable: boolean;
}

/** How the server has served an operation, as far as it is shown. */
interface ServedBy {
  strategy: string;
  attempts: number;
  totalMs: number;
}

interface Props {
  error?: unknown;
  payload?: { userErrors: readonly Refusal[]; meta?: ServedBy } | null;
  /** What to say of a success. */
  children: ReactNode;
}

/** Of a mutation without an answer. Its idempotency key is kept for as long as the input is the same. */
const unanswered =
  'The shop cannot be reached at the moment. It may have been carried out all the same: try again without changing anything, and it is carried out once.';

/** What became of a mutation. Both regions are there before anything is said, or screen readers would not say it. */
export function Outcome({ error, payload, children }: Props) {
  const refused = payload?.userErrors ?? [];
  return (
    <>
      <div role="alert" className="outcome">
        {Boolean(error) && <p>{CombinedGraphQLErrors.is(error) ? readable(error) : unanswered}</p>}
        {refused.map((e) => (
          <p key={e.code + e.message}>
            {e.message} <code>{e.code}</code>
          </p>
        ))}
      </div>
      <div role="status" className="outcome">
        {payload && refused.length === 0 && (
          <>
            <p>{children}</p>
            {payload.meta && <Served meta={payload.meta} />}
          </>
        )}
      </div>
    </>
  );
}

function Served({ meta }: { meta: ServedBy }) {
  const attempts = meta.attempts === 1 ? 'one attempt' : `${meta.attempts} attempts`;
  return (
    <p className="quiet">
      Served by <code>{meta.strategy}</code> in {meta.totalMs.toFixed(1)} ms, {attempts}.
    </p>
  );
}

/** Why a query failed, or that there is no answer yet; nothing otherwise. */
export function Failure({ error, loading }: { error?: unknown; loading?: boolean }) {
  if (loading) {
    return (
      <p role="status" className="quiet">
        Loading …
      </p>
    );
  }
  return error ? (
    <div role="alert" className="outcome">
      <p>{readable(error)}</p>
    </div>
  ) : null;
}

export function readable(error: unknown): string {
  if (CombinedGraphQLErrors.is(error)) {
    const [first] = error.errors;
    return first.extensions?.code === 'UNAUTHENTICATED'
      ? 'Your access token is not valid, or no longer. Sign out, and in again.'
      : first.message;
  }
  return 'The shop cannot be reached at the moment. Nothing is lost: try again.';
}
