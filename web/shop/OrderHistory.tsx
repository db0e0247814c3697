import { formatMoney, formatTime } from '../common/money';
import type { OrderCardFragment, OrderDetailsFragment } from './gql/operations';

const moneyOf: Record<string, string> = {
  REFUNDING: 'The money is on its way.',
  REFUNDED: '',
  FAILED: 'The money could not be given back; the shop gets in touch.',
  UNKNOWN: 'The money is on its way.',
};

interface Props {
  order: OrderCardFragment;
  refunds: NonNullable<OrderDetailsFragment['refunds']>;
}

/** What has become of a paid order: that it was sent, and what came back. */
export function OrderHistory({ order, refunds }: Props) {
  return (
    <>
      {order.fulfilment === 'FULFILLED' && (
        <p>
          Sent{order.fulfilledAt && <> on {formatTime(order.fulfilledAt)}</>}.{order.tracking && <> Tracking: {order.tracking}</>}
        </p>
      )}
      {refunds.length > 0 && (
        <ul aria-label="Refunds and returns">
          {refunds.map((refund) => (
            <li key={refund.id}>
              {refund.amount.amountMinor !== '0' && (
                <>
                  {formatMoney(refund.amount)} <span className={`badge ${refund.status.toLowerCase()}`}>{refund.status}</span>{' '}
                </>
              )}
              on {formatTime(refund.createdAt)}: {refund.reason} {moneyOf[refund.status]}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
