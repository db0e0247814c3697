import { useState } from 'react';

import { formatMoney } from '../common/money';
import { nameOf } from '../common/names';
import { useOperation } from '../common/useOperation';
import { useConfirmation } from './Confirmation';
import { AreaField, MoneyField, minorOf, NumberField, TextField } from './fields';
import { Form, textOf } from './Form';
import { CancelOrderDocument, OrderFulfilDocument, type FullOrderFragment, RefundCreateDocument, ReturnCreateDocument } from './gql/operations';
import { words } from './List';

interface Props {
  order: FullOrderFragment;
}

/** What can be done about an order, as it is now. A form stays for its answer, also if the order allows it no more. */
export function OrderActions({ order }: Props) {
  const paid = order.status === 'PAID';
  const sent = order.fulfilment === 'FULFILLED';
  const [used, setUsed] = useState<ReadonlySet<string>>(new Set());
  const forms = [
    { name: 'send', title: 'Send', possible: paid && !sent, Action: Fulfil },
    { name: 'refund', title: 'Refund', possible: paid && order.payment?.refundable.amountMinor !== '0', Action: Refund },
    { name: 'return', title: 'Take back', possible: paid && sent, Action: Return },
    { name: 'cancel', title: 'Cancel', possible: order.status === 'PENDING' || (paid && !sent), Action: Cancel },
  ].filter(({ name, possible }) => possible || used.has(name));
  return (
    <section aria-labelledby="actions-title">
      <h2 id="actions-title">What can be done</h2>
      {forms.length === 0 && <p className="quiet">Nothing: the order is {words(order.status)}.</p>}
      {forms.map(({ name, title, Action }) => (
        <details key={name} onToggle={() => setUsed((before) => new Set(before).add(name))}>
          <summary>{title}</summary>
          <Action order={order} />
        </details>
      ))}
    </section>
  );
}

function Fulfil({ order }: Props) {
  const fulfil = useOperation(OrderFulfilDocument, (d) => d.orderFulfil);
  const ask = useConfirmation();
  const submit = async (filled: FormData) => {
    const agreed = await ask({
      title: 'Mark the order as sent?',
      text: 'The customer is shown that it was sent. After that it can be taken back, and not be cancelled any more.',
      action: 'Mark as sent',
    });
    return agreed ? fulfil.run({ orderId: order.id, tracking: textOf(filled, 'tracking') || undefined }) : undefined;
  };
  return (
    <Form label="Mark the order as sent" action="Mark as sent" operation={fulfil} onSubmit={submit} done="The order is marked as sent.">
      <TextField label="Tracking" name="tracking" maxLength={500} help="How the parcel can be followed; the customer sees it." />
    </Form>
  );
}

function Refund({ order }: Props) {
  const refund = useOperation(RefundCreateDocument, (d) => d.refundCreate);
  const ask = useConfirmation();
  const payment = order.payment;
  if (!payment) {
    return null;
  }
  const submit = async (filled: FormData) => {
    const amount = { ...payment.refundable, amountMinor: minorOf(textOf(filled, 'amount'), payment.refundable) };
    const agreed = await ask({
      title: `Refund ${formatMoney(amount)}?`,
      text: `${formatMoney(amount)} of ${formatMoney(payment.amount)} go back to the customer, by ${words(payment.method)}. This cannot be taken back.`,
      action: `Refund ${formatMoney(amount)}`,
    });
    const { amountMinor, currency } = amount;
    return agreed ? refund.run({ orderId: order.id, amount: { amountMinor, currency }, reason: textOf(filled, 'reason') }) : undefined;
  };
  return (
    <Form label="Refund an amount" action="Refund" operation={refund} onSubmit={submit} done={<Given {...refund.payload} />}>
      <p>At most {formatMoney(payment.refundable)}. To take products back with the money, see “Take back”, once the order was sent.</p>
      <MoneyField label="Amount" name="amount" currency={payment.refundable} required />
      <AreaField label="Reason" name="reason" required maxLength={500} help="The customer sees it." />
    </Form>
  );
}

/** What has become of a refund or return that was made. */
function Given({ refund }: { refund?: { status: string; failureReason?: string | null; amount: FullOrderFragment['total'] } | null }) {
  if (!refund) {
    return 'Done.';
  }
  return (
    <>
      {formatMoney(refund.amount)}: {words(refund.status)}.{refund.failureReason && ` ${refund.failureReason}`}
    </>
  );
}

function Return({ order }: Props) {
  const back = useOperation(ReturnCreateDocument, (d) => d.returnCreate);
  const ask = useConfirmation();
  const [problem, setProblem] = useState('');
  const lines = order.lines.flatMap(({ product, variant, variantTitle, quantity, returned }) => {
    const left = Number(BigInt(quantity) - BigInt(returned));
    // A variant that could not be read cannot be named; the view says that something is missing.
    return variant && left > 0 ? [{ variantId: variant.id, name: `${nameOf(product.name, variantTitle)} (${variant.sku})`, left }] : [];
  });
  const submit = async (filled: FormData) => {
    const returned = lines.flatMap(({ variantId }) => {
      const quantity = Number(textOf(filled, variantId));
      return quantity > 0 ? [{ variantId, quantity }] : [];
    });
    setProblem(returned.length === 0 ? 'Say how many came back of at least one product.' : '');
    if (returned.length === 0) {
      return undefined;
    }
    const [restock, refund] = [filled.has('restock'), filled.has('refund')];
    const units = returned.reduce((sum, { quantity }) => sum + quantity, 0);
    const agreed = await ask({
      title: `Take back ${units} ${units === 1 ? 'unit' : 'units'}?`,
      text: `They ${restock ? 'go back into stock' : 'are written off'}. What was paid for them is ${refund ? 'given back' : 'kept'}. This cannot be taken back.`,
      action: 'Take back',
    });
    return agreed ? back.run({ orderId: order.id, lines: returned, restock, refund, reason: textOf(filled, 'reason') }) : undefined;
  };
  return (
    <Form label="Take products back" action="Take back" operation={back} onSubmit={submit} done={<Given {...back.payload} />}>
      {order.lines.every(({ quantity, returned }) => quantity === returned) && <p>All products have come back.</p>}
      {lines.map(({ variantId, name, left }) => (
        <NumberField key={variantId} label={`How many of ${name}`} name={variantId} min={0} max={left} defaultValue="0" help={`At most ${left}.`} />
      ))}
      <label className="row">
        <input type="checkbox" name="restock" defaultChecked />
        <span>Put them back into stock</span>
      </label>
      <label className="row">
        <input type="checkbox" name="refund" defaultChecked />
        <span>Give back what was paid for them</span>
      </label>
      <AreaField label="Reason" name="reason" required maxLength={500} help="The customer sees it." />
      <p role="alert">{problem}</p>
    </Form>
  );
}

function Cancel({ order }: Props) {
  const cancel = useOperation(CancelOrderDocument, (d) => d.cancelOrder);
  const ask = useConfirmation();
  const submit = async () => {
    const agreed = await ask({
      title: 'Cancel the order?',
      text: `Its products go back into stock${order.payment ? `, ${formatMoney(order.payment.refundable)} go back to the customer` : ''}, and a coupon can be spent again. This cannot be taken back.`,
      action: 'Cancel the order',
    });
    return agreed ? cancel.run({ orderId: order.id }) : undefined;
  };
  return (
    <Form label="Cancel the order" action="Cancel the order" operation={cancel} onSubmit={submit} done="Cancelled. What was paid goes back to the customer: “Payment” says how far that is.">
      <p>Stock, coupon and payment are given back.</p>
    </Form>
  );
}
