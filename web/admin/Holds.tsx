import { useMutation } from '@apollo/client/react';

import { formatCount, formatTime } from '../common/money';
import { Outcome } from '../common/Outcome';
import { useConfirmation } from './Confirmation';
import { type HoldRowFragment, HoldReleaseDocument } from './gql/operations';
import { Table } from './List';
import { hrefOf } from './route';

/** What is held for a customer. A release may be repeated, so it needs no idempotency key. */
export function Holds({ holds }: { holds?: readonly HoldRowFragment[] }) {
  const [release, { data, error, loading }] = useMutation(HoldReleaseDocument);
  const ask = useConfirmation();
  const end = async (hold: HoldRowFragment) => {
    const agreed = await ask({
      title: `Release the hold ${hold.id}?`,
      text: 'Its products are for sale again. The customer cannot order by this hold any more.',
      action: 'Release the hold',
    });
    if (agreed) {
      await release({ variables: { input: { id: hold.id } } }).catch(() => {}); // Outcome says so
    }
  };
  // One that was released has another status in the cache, and stays in the list until that is read again.
  const active = holds?.filter(({ status }) => status === 'ACTIVE');
  return (
    <section aria-labelledby="holds-title">
      <h2 id="holds-title">Holds</h2>
      <Table label="Holds" head={['Hold', 'Products', 'Made', 'Ends', 'Action']} empty="Nothing is held for the customer.">
        {active?.map((hold) => (
          <tr key={hold.id}>
            <td>
              <code>{hold.id}</code>
            </td>
            <td className="text">
              {hold.lines?.map(({ product, quantity }) => (
                <div key={product.id}>
                  {formatCount(quantity)} × <a href={hrefOf('products', product.id)}>{product.name}</a>
                </div>
              ))}
            </td>
            <td>{formatTime(hold.createdAt)}</td>
            <td>{formatTime(hold.expiresAt)}</td>
            <td>
              <button type="button" className="secondary" disabled={loading} aria-label={`Release ${hold.id}`} onClick={() => void end(hold)}>
                Release
              </button>
            </td>
          </tr>
        ))}
      </Table>
      <Outcome error={error} payload={data?.holdRelease}>
        Released.
      </Outcome>
    </section>
  );
}
