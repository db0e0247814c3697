import { useQuery } from '@apollo/client/react';

import { formatMoney, formatTime } from '../common/money';
import { More } from '../common/More';
import { nameOf } from '../common/names';
import { Failure, Outcome } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { CancelOrderDocument, type OfferFragment, type OrderCardFragment, OrderDetailsDocument, OrdersDocument } from './gql/operations';
import { OrderHistory } from './OrderHistory';
import { OrderPayment } from './OrderPayment';

const pageSize = 5;

export function Orders() {
  const { data, error, fetchMore } = useQuery(OrdersDocument, {
    variables: { first: pageSize },
    // A waiting line, or another tab, may have added orders that no answer here has told of.
    fetchPolicy: 'cache-and-network',
    errorPolicy: 'all',
    nextFetchPolicy: 'cache-first',
  });
  const orders = data?.me?.orders;
  return (
    <>
      <Failure error={error} />
      {orders?.edges.length === 0 && <p className="quiet">None yet.</p>}
      <ol className="plain" aria-label="Your orders">
        {orders?.edges.map(({ node }) => (
          <li key={node.id}>
            <OrderCard order={node} shop={data?.shop} />
          </li>
        ))}
      </ol>
      <More pageInfo={orders?.pageInfo} what="orders" fetchMore={(after) => fetchMore({ variables: { after } })} />
    </>
  );
}

function OrderCard({ order, shop }: { order: OrderCardFragment; shop?: OfferFragment }) {
  const cancel = useOperation(CancelOrderDocument, (d) => d.cancelOrder);
  const { data } = useQuery(OrderDetailsDocument, {
    variables: { id: order.id },
    skip: order.status !== 'PENDING' && order.status !== 'PAID', // nothing is to be done for the others
    fetchPolicy: 'cache-and-network',
    nextFetchPolicy: 'cache-first',
  });
  const details = data?.order;
  const label = `order of ${formatTime(order.createdAt)}, ${formatMoney(order.total)}`;
  const pending = order.status === 'PENDING';
  return (
    <article className="card" data-order={order.id}>
      <div className="row spread">
        <h2>
          {formatMoney(order.total)} <span className={`badge ${order.status.toLowerCase()}`}>{order.status}</span>
        </h2>
        <time dateTime={order.createdAt} className="quiet">
          {formatTime(order.createdAt)}
        </time>
      </div>
      <ul>
        {order.lines.map((line) => (
          <li key={`${line.product.id} ${line.variantTitle}`}>
            {line.quantity} × {nameOf(line.product.name, line.variantTitle)}, {formatMoney(line.total)}
            {line.returned !== '0' && <span className="quiet"> ({line.returned} returned or refunded)</span>}
          </li>
        ))}
      </ul>
      {order.discount.amountMinor !== '0' && <p>Discount: {formatMoney(order.discount)}</p>}
      {order.failure && <p>{order.failure.reason}</p>}
      {pending && <p className="quiet">Reserved until {formatTime(order.expiresAt)}.</p>}
      <OrderHistory order={order} refunds={details?.refunds ?? []} />
      {shop && <OrderPayment order={order} last={details?.paymentAttempts?.[0]} label={label} shop={shop} />}
      <div className="row">
        {(pending || (order.status === 'PAID' && order.fulfilment === 'UNFULFILLED')) && (
          <button
            type="button"
            className="secondary"
            disabled={cancel.busy}
            aria-label={`Cancel ${label}`}
            onClick={() => cancel.run({ orderId: order.id })}
          >
            Cancel
          </button>
        )}
      </div>
      <Outcome error={cancel.error} payload={cancel.payload}>
        Cancelled. Everything was given back.
      </Outcome>
    </article>
  );
}
