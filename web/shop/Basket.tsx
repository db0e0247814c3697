import { useApolloClient, useQuery } from '@apollo/client/react';
import { type FormEvent, useState } from 'react';

import { formatMoney } from '../common/money';
import { nameOf } from '../common/names';
import { Failure, Outcome } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { addOrder } from './cache';
import { Confirm, toConfirm } from './Confirm';
import { CheckoutDocument, PlaceOrderDocument, ProductVariantDocument } from './gql/operations';
import { firstChoice, PaymentChoice, paymentOf } from './PaymentChoice';
import { type Line, usePurchase } from './purchase';
import { discounted, sum } from './totals';

/** The element to focus for who wants to go on with the basket. */
export const basketHeading = 'basket';

export function Basket() {
  const { lines, setLines, setTicketId } = usePurchase();
  const client = useApolloClient();
  const checkout = useQuery(CheckoutDocument, { fetchPolicy: 'cache-and-network', errorPolicy: 'all' });
  const order = useOperation(PlaceOrderDocument, (data) => data.placeOrder);
  const [chosen, setChosen] = useState<string | null>(null);
  const [couponIssueId, setCouponIssueId] = useState('');
  const [watch, setWatch] = useState(true);

  const me = checkout.data?.me;
  const shop = checkout.data?.shop;
  const payment = chosen ?? firstChoice(shop?.paymentMethods ?? []);
  const coupons = me?.couponIssues?.nodes.filter((issue) => issue.status === 'ISSUED') ?? [];
  const coupon = coupons.find((issue) => issue.id === couponIssueId);
  const queued = checkout.data?.strategies.some((s) => s.family === 'STOCK' && s.strategy === 'QUEUE') ?? false;
  const subtotal = sum(lines.map(({ variant, quantity }) => ({ price: variant.price, quantity })));
  const total = subtotal && discounted(subtotal, coupon?.coupon);

  /** Shows the prices of this moment, for the customer to agree to or not. */
  const refreshPrices = async () => {
    const ids = lines.map((line) => line.variant.id);
    const answers = await Promise.all(
      ids.map((id) => client.query({ query: ProductVariantDocument, variables: { id }, fetchPolicy: 'network-only' }).catch(() => null)),
    );
    const current = new Map(answers.flatMap((answer) => (answer?.data?.productVariant ? [[answer.data.productVariant.id, answer.data.productVariant]] : [])));
    setLines((before) => before.map((line) => ({ ...line, variant: current.get(line.variant.id) ?? line.variant })));
  };

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const payload = await order.run({
      lines: lines.map(({ variant, quantity }) => ({ variantId: variant.id, quantity })),
      couponIssueId: coupon?.id,
      payment: paymentOf(payment),
      expectedTotal: total && { amountMinor: total.amountMinor, currency: total.currency },
      wait: !(queued && watch),
    });
    if (payload?.order && me) {
      addOrder(client.cache, me.id, payload.order.id);
    }
    if (payload?.userErrors.some((e) => e.code === 'PRICE_CHANGED')) {
      await refreshPrices();
    }
    if (payload && payload.userErrors.length === 0) {
      setLines(() => []);
      setCouponIssueId('');
      setTicketId(payload.ticket?.id ?? null);
    }
  };

  return (
    <section aria-labelledby={basketHeading} className="card">
      <h2 id={basketHeading} tabIndex={-1}>
        Basket
      </h2>
      <Failure error={checkout.error} />
      <form onSubmit={submit} className="stack">
        {lines.length === 0 && <p className="quiet">Nothing yet.</p>}
        <ul className="plain">
          {lines.map((line) => (
            <BasketLine key={line.variant.id} line={line} onChange={(changed) => setLines((before) => replace(before, line, changed))} />
          ))}
        </ul>
        <label className="field">
          <span>Coupon</span>
          <select value={coupon?.id ?? ''} onChange={(e) => setCouponIssueId(e.target.value)}>
            <option value="">None</option>
            {coupons.map((issue) => (
              <option key={issue.id} value={issue.id}>
                {issue.coupon.name}
              </option>
            ))}
          </select>
        </label>
        {total && <p className="price">Total: {formatMoney(total)}</p>}
        {me && shop && (
          <PaymentChoice
            wallet={me.wallet}
            accounts={me.accounts?.nodes ?? []}
            methods={shop.paymentMethods}
            simulated={shop.paymentsSimulated}
            chosen={payment}
            onChange={setChosen}
          />
        )}
        {queued && (
          <label className="row">
            <input type="checkbox" checked={watch} onChange={(e) => setWatch(e.target.checked)} />
            <span>Show my place in the waiting line</span>
          </label>
        )}
        <button type="submit" disabled={lines.length === 0 || order.busy}>
          Place order
        </button>
        {shop?.paymentsSimulated && <p className="quiet">Card payments are simulated: no money is taken.</p>}
      </form>
      <Outcome error={order.error} payload={order.payload}>
        {order.payload?.ticket ? (
          'You are in the waiting line.'
        ) : (
          <>
            Order {order.payload?.order?.status === 'PAID' ? 'placed and paid' : 'placed'}:{' '}
            {order.payload?.order && formatMoney(order.payload.order.total)}.{' '}
            {toConfirm(order.payload?.attempt) && (
              <Confirm attempt={order.payload.attempt} after="The order is paid a minute or two after that." />
            )}{' '}
            <a href="#orders">See your orders</a>
          </>
        )}
      </Outcome>
    </section>
  );
}

/** Without a changed line, the line is left out. */
function replace(lines: Line[], line: Line, changed: Line | null): Line[] {
  return lines.flatMap((l) => (l !== line ? [l] : changed ? [changed] : []));
}

function BasketLine({ line, onChange }: { line: Line; onChange: (line: Line | null) => void }) {
  const { variant, quantity } = line;
  const name = nameOf(line.name, variant.title);
  return (
    <li className="row spread">
      <label className="row">
        <input
          type="number"
          className="quantity"
          min={1}
          max={1000}
          required
          value={quantity || ''}
          onChange={(e) => onChange({ ...line, quantity: Math.trunc(e.target.valueAsNumber) || 0 })}
          aria-label={`Quantity of ${name}`}
        />
        <span>{name}</span>
      </label>
      <button type="button" className="secondary" aria-label={`Remove ${name}`} onClick={() => onChange(null)}>
        Remove
      </button>
    </li>
  );
}
