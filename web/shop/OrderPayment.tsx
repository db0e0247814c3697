import { useState } from 'react';

import { Outcome } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { Confirm, toConfirm } from './Confirm';
import { type OfferFragment, type OrderCardFragment, PayOrderDocument, type ToConfirmFragment } from './gql/operations';
import { CardOptions, paymentOf } from './PaymentChoice';

interface Props {
  order: OrderCardFragment;
  /** The newest attempt to pay it. */
  last?: ToConfirmFragment;
  /** What the order is called where a button is read without what stands around it. */
  label: string;
  shop: OfferFragment;
}

/** How an order is paid that waits for it. After a card was declined, the customer chooses another one. */
export function OrderPayment({ order, last, label, shop }: Props) {
  const pay = useOperation(PayOrderDocument, (d) => d.payOrder);
  const [card, setCard] = useState('CARD');
  const pending = order.status === 'PENDING';
  const waiting = pending && toConfirm(last);
  // The shop looks for the payment that was confirmed, and begins no other: the customer has chosen the card of this one.
  const look = (attempt: ToConfirmFragment) => pay.run({ orderId: order.id, payment: { method: 'CARD', attemptId: attempt.id } });
  const run = (chosen: string) => {
    const payment = paymentOf(chosen);
    return payment && pay.run({ orderId: order.id, payment });
  };
  return (
    <>
      {waiting && (
        <p>
          <Confirm attempt={last} after="Then have the shop look." />
        </p>
      )}
      {pending && last?.status === 'DECLINED' && <p>The last card was declined: {last.reason}. Try another one.</p>}
      {waiting && (
        <div className="row">
          <button type="button" disabled={pay.busy} aria-label={`Look for the payment of ${label}`} onClick={() => look(last)}>
            I have confirmed it
          </button>
        </div>
      )}
      {pending && !waiting && (
        <div className="row">
          {shop.paymentMethods.includes('POINTS') && (
            <button type="button" disabled={pay.busy} aria-label={`Pay ${label}, with points`} onClick={() => run('POINTS')}>
              Pay with points
            </button>
          )}
          {shop.paymentMethods.includes('CARD') && (
            <>
              {shop.paymentsSimulated && (
                <select aria-label={`Card for ${label}`} value={card} onChange={(e) => setCard(e.target.value)}>
                  <CardOptions simulated />
                </select>
              )}
              <button type="button" disabled={pay.busy} aria-label={`Pay ${label}, by card`} onClick={() => run(card)}>
                Pay by card
              </button>
            </>
          )}
        </div>
      )}
      <Outcome error={pay.error} payload={pay.payload}>
        {order.status === 'PAID' ? 'Paid.' : 'Not paid yet.'}
      </Outcome>
    </>
  );
}
