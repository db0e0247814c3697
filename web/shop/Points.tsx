import { useQuery } from '@apollo/client/react';
import { type FormEvent, useState } from 'react';

import { formatCount, formatMoney, formatTime } from '../common/money';
import { More } from '../common/More';
import { Failure, Outcome } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { Confirm, toConfirm } from './Confirm';
import { ChargePointsDocument, type JournalFragment, PointsDocument } from './gql/operations';

const pageSize = 10;

export function Points() {
  const { data, error, fetchMore } = useQuery(PointsDocument, {
    variables: { first: pageSize },
    fetchPolicy: 'cache-and-network',
    errorPolicy: 'all',
  });
  const charge = useOperation(ChargePointsDocument, (d) => d.chargePoints);
  const [amount, setAmount] = useState('1000');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void charge.run({ amount }, { first: pageSize });
  };
  const wallet = data?.me?.wallet;
  const shop = data?.shop;
  return (
    <>
      <Failure error={error} />
      {wallet && (
        <p className="price">
          <span data-testid="points">{formatCount(wallet.balance)}</span> points
        </p>
      )}
      {shop?.paymentMethods.includes('CARD') && (
        <form onSubmit={submit} className="row">
          <label className="field">
            <span>Points to add</span>
            <input
              inputMode="numeric"
              required
              pattern="[1-9][0-9]{0,14}"
              title="A whole number, at least 1."
              value={amount}
              onChange={(e) => setAmount(e.target.value)}
            />
          </label>
          <button type="submit" disabled={charge.busy}>
            Add points
          </button>
        </form>
      )}
      {shop?.paymentMethods.includes('CARD') && (
        <p className="quiet">
          100 points cost {formatMoney(shop.pointsPrice)}, paid by card.
          {shop.paymentsSimulated && ' Card payments are simulated: no money is taken.'}
        </p>
      )}
      <Outcome error={charge.error} payload={charge.payload}>
        {toConfirm(charge.payload?.attempt) ? (
          <Confirm attempt={charge.payload.attempt} after="The points are added a minute or two after that." />
        ) : (
          'Points added.'
        )}
      </Outcome>
      {wallet && (
        <>
          <h2>What happened to your points</h2>
          {wallet.entries && <Journal entries={wallet.entries} />}
          <More pageInfo={wallet.entries?.pageInfo} what="lines" fetchMore={(after) => fetchMore({ variables: { after } })} />
        </>
      )}
    </>
  );
}

function Journal({ entries }: { entries: JournalFragment }) {
  return (
    <ul className="plain" aria-label="Journal">
      {entries.edges.map(({ node }) => (
        <li key={node.id} className="row spread">
          <span>
            {node.kind.toLowerCase().replaceAll('_', ' ')} <span className="quiet">{formatTime(node.createdAt)}</span>
          </span>
          <span>
            {node.delta.startsWith('-') ? '' : '+'}
            {formatCount(node.delta)}
          </span>
        </li>
      ))}
    </ul>
  );
}
