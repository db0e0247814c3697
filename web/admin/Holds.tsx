import { useMutation } from '@apollo/client/react';

import { More } from '../common/More';
import { formatCount, formatTime } from '../common/money';
import { nameOf } from '../common/names';
import { Failure, Outcome } from '../common/Outcome';
import { useConfirmation } from './Confirmation';
import { CustomerHoldsDocument, type HoldRowFragment, HoldReleaseDocument } from './gql/operations';
import { Table } from './List';
import { hrefOf } from './route';
import { useView } from './useView';

/** What is held for a customer. A release may be repeated, so it needs no idempotency key. */
export function Holds({ customerId }: { customerId: string }) {
  const { data: read, error: unread, loading: reading, fetchMore } = useView(CustomerHoldsDocument, { id: customerId });
  const holds = read?.customer?.holds;
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
  const active = holds?.edges.map(({ node }) => node).filter(({ status }) => status === 'ACTIVE');
  return (
    <section aria-labelledby="holds-title">
      <h2 id="holds-title">Holds</h2>
      <Failure error={unread} loading={reading && !read} />
      <Table label="Holds" head={['Hold', 'Products', 'Made', 'Ends', 'Action']} empty="Nothing is held for the customer.">
        {active?.map((hold) => (
          <tr key={hold.id}>
            <td>
              <code>{hold.id}</code>
            </td>
            <td className="text">
              {hold.lines?.map(({ product, variant, quantity }) => (
                <div key={variant?.id ?? product.id}>
                  {formatCount(quantity)} ×{' '}
                  <a href={hrefOf('products', product.id, { variant: variant?.id ?? '' })}>{nameOf(product.name, variant?.title ?? '')}</a>
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
      <More pageInfo={holds?.pageInfo} what="holds" fetchMore={(after) => fetchMore({ variables: { after } })} />
      <Outcome error={error} payload={data?.holdRelease}>
        Released.
      </Outcome>
    </section>
  );
}
