import { formatMoney, formatTime } from '../common/money';
import { nameOf } from '../common/names';
import { Failure } from '../common/Outcome';
import { type FullOrderFragment, OrderDetailsDocument } from './gql/operations';
import { Badge, Table, words } from './List';
import { Contact, PostalAddress } from './Contact';
import { OrderActions } from './OrderActions';
import { Refresh } from './Refresh';
import { hrefOf } from './route';
import { useView } from './useView';

/** One order, and what can be done about it. */
export function Order({ id }: { id: string }) {
  const { data, error, loading, refetch } = useView(OrderDetailsDocument, { id });
  const order = data?.order;
  return (
    <>
      <Failure error={error} loading={loading && !data} />
      {data && !order && !error && <p role="status">There is no order {id}.</p>}
      {(error || (data && !order)) && <Refresh refetch={refetch} />}
      {order && (
        <>
          <Facts order={order} />
          <Lines order={order} />
          <OrderActions order={order} />
          <OrderPayments order={order} />
          <Refunds order={order} />
        </>
      )}
    </>
  );
}

function Facts({ order }: { order: FullOrderFragment }) {
  return (
    <section className="card facts" aria-labelledby="facts-title">
      <h2 id="facts-title">
        {formatMoney(order.total)} <Badge status={order.status} />
      </h2>
      <dl>
        <dt>Order</dt>
        <dd>
          <code>{order.id}</code>
        </dd>
        <dt>Placed</dt>
        <dd>{formatTime(order.createdAt)}</dd>
        {order.status === 'PENDING' && (
          <>
            <dt>Kept until</dt>
            <dd>{formatTime(order.expiresAt)}</dd>
          </>
        )}
        <dt>Customer</dt>
        <dd>{order.customer ? <a href={hrefOf('customers', order.customer.id)}>{order.customer.name}</a> : 'unknown'}</dd>
        <dt>Contact</dt>
        <dd>
          <Contact contact={order.contact} />
        </dd>
        <dt>Goes to</dt>
        <dd>
          <PostalAddress address={order.shippingAddress} />
        </dd>
        <dt>Delivery</dt>
        <dd>
          {order.fulfilment === 'FULFILLED' ? `sent${order.fulfilledAt ? ` on ${formatTime(order.fulfilledAt)}` : ''}` : 'not sent'}
          {order.tracking && `, tracking: ${order.tracking}`}
        </dd>
        {order.couponIssue && (
          <>
            <dt>Coupon</dt>
            <dd>
              <a href={hrefOf('coupons', order.couponIssue.coupon.id)}>{order.couponIssue.coupon.name}</a>, {formatMoney(order.discount)} off
            </dd>
          </>
        )}
        {order.failure && (
          <>
            <dt>Why it failed</dt>
            <dd>
              {order.failure.reason} <code>{order.failure.code}</code>
            </dd>
          </>
        )}
        {order.persistence !== 'PERSISTED' && (
          <>
            <dt>Database</dt>
            <dd>{words(order.persistence)}</dd>
          </>
        )}
      </dl>
    </section>
  );
}

function Lines({ order }: { order: FullOrderFragment }) {
  return (
    <section aria-labelledby="lines-title">
      <h2 id="lines-title">Products</h2>
      <Table label="Products of the order" head={['SKU', 'Product', 'Quantity', 'Came back', 'Price of one', 'Paid for all']} empty="None.">
        {order.lines.map((line) => (
          <tr key={line.variant?.id ?? `${line.product.id} ${line.variantTitle}`}>
            <td>{line.variant?.sku ?? '?'}</td>
            <td>
              <a href={hrefOf('products', line.product.id, { variant: line.variant?.id ?? '' })}>{nameOf(line.product.name, line.variantTitle)}</a>
            </td>
            <td className="figure">{line.quantity}</td>
            <td className="figure">{line.returned}</td>
            <td className="figure">{formatMoney(line.unitPrice)}</td>
            <td className="figure">{formatMoney(line.paid)}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}

function OrderPayments({ order }: { order: FullOrderFragment }) {
  const { payment } = order;
  return (
    <section aria-labelledby="payment-title">
      <h2 id="payment-title">Payment</h2>
      {payment ? (
        <p>
          {formatMoney(payment.amount)} by {words(payment.method)}: <Badge status={payment.status} />. {formatMoney(payment.refunded)} were given
          back, {formatMoney(payment.refundable)} can be refunded.
          {payment.reference && (
            <>
              {' '}
              The gateway calls it <code>{payment.reference}</code>.
            </>
          )}
          {payment.failureReason && ` It was declined: ${payment.failureReason}.`}
        </p>
      ) : (
        <p className="quiet">Not paid.</p>
      )}
      <Table label="Payment attempts" head={['Begun', 'Attempt', 'Status', 'Amount', 'Why']} empty="No card payment was tried.">
        {order.paymentAttempts?.map((attempt) => (
          <tr key={attempt.id}>
            <td>{formatTime(attempt.createdAt)}</td>
            <td>
              <code>{attempt.id}</code>
            </td>
            <td>
              <Badge status={attempt.status} />
            </td>
            <td className="figure">{formatMoney(attempt.amount)}</td>
            <td className="text">{attempt.reason}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}

function Refunds({ order }: { order: FullOrderFragment }) {
  return (
    <section aria-labelledby="refunds-title">
      <h2 id="refunds-title">Refunds and returns</h2>
      <Table label="Refunds and returns" head={['Made', 'Amount', 'Status', 'Stock', 'Why', 'By']} empty="Nothing was given back.">
        {order.refunds?.map((refund) => (
          <tr key={refund.id}>
            <td>{formatTime(refund.createdAt)}</td>
            <td className="figure">{formatMoney(refund.amount)}</td>
            <td>
              <Badge status={refund.status} />
            </td>
            <td>{refund.restock ? (refund.restockedAt ? 'put back' : 'to be put back') : ''}</td>
            <td className="text">
              {refund.reason}
              {refund.failureReason && ` (${refund.failureReason})`}
            </td>
            <td>{refund.administratorId}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}
