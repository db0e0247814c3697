import { CombinedGraphQLErrors } from '@apollo/client/errors';
import { useQuery } from '@apollo/client/react';

import { readable } from '../common/Outcome';
import { Pages } from '../common/Pages';
import type { Page } from '../common/site';
import { Administration } from './Administration';
import { GateDocument } from './gql/operations';

interface Props {
  pages: readonly Page[];
  onSignOut: () => void;
}

/** Asks the server whether the caller is an administrator. Nobody else sees anything of the administration. */
export function Gate({ pages, onSignOut }: Props) {
  const { data, error, loading, refetch } = useQuery(GateDocument, { fetchPolicy: 'network-only', nextFetchPolicy: 'cache-first', errorPolicy: 'all' });
  if (data?.me && data.shop && data.unsettledOrders) {
    const { currency, minorDigits } = data.shop.pointsPrice;
    return (
      <Administration
        pages={pages}
        user={data.me.name}
        currency={{ currency, minorDigits }}
        simulated={data.shop.paymentsSimulated}
        onSignOut={onSignOut}
      />
    );
  }
  const code = CombinedGraphQLErrors.is(error) ? error.errors[0].extensions?.code : undefined;
  return (
    <>
      <header>
        <Pages pages={pages} />
        <p className="brand">holdfast administration</p>
        <button type="button" className="secondary" onClick={onSignOut}>
          Sign out
        </button>
      </header>
      <main className="narrow">
        {loading && <p role="status">Looking who you are …</p>}
        {!loading && (
          <>
            <h1>{code === 'FORBIDDEN' ? 'Not for you' : 'Not now'}</h1>
            <div role="alert">
              <p>
                {code === 'FORBIDDEN'
                  ? `You are signed in as ${data?.me?.name ?? 'a customer'}, without the role ADMIN. The administration is for administrators: sign out, and in with another token.`
                  : readable(error)}
              </p>
            </div>
            {code === undefined && (
              <button type="button" onClick={() => void refetch()}>
                Try again
              </button>
            )}
          </>
        )}
      </main>
    </>
  );
}
