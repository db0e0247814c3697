import { formatMoney, formatTime } from '../common/money';
import { Failure } from '../common/Outcome';
import { PaymentsDocument, type PaymentsQuery } from './gql/operations';
import { Badge, Filters, Table, words } from './List';
import { Refresh } from './Refresh';
import { hrefOf } from './route';
import { useView } from './useView';

/** What to do about a difference, in short; docs/operations.md has the rest. */
const advice: Record<string, string> = {
  CAPTURE_UNKNOWN: 'Give it back at the gateway, unless another shop uses the same account.',
  CAPTURE_NOT_RECORDED: 'Have the job look at the attempt again.',
  CAPTURE_MISSING: 'Look it up at the gateway. If it is not there, ask the customer or cancel the order.',
  CAPTURE_AMOUNT: 'Refund what is too much at the gateway, or ask the customer for the rest.',
  CAPTURE_WITHOUT_ORDER: 'Look the attempt up at the gateway.',
  ORDER_WITHOUT_CAPTURE: 'Hold the goods back, and look for the payment.',
  REFUND_UNKNOWN: 'Somebody has refunded at the gateway: cancel the order, or note it in your books.',
  REFUND_NOT_RECORDED: 'Look the refund up at the gateway.',
  REFUND_MISSING: 'Give it back in another way: the bank has refused it later.',
  REFUND_AMOUNT: 'Compare the refund with the gateway.',
};

/** Orders, payments and refunds that need a person, and what differs from the payment gateway. */
export function Payments({ query }: { query: URLSearchParams }) {
  const { data, error, loading, refetch } = useView(PaymentsDocument, { onlyOpen: !query.has('settled') });
  return (
    <>
      <Refresh refetch={refetch} />
      <Failure error={error} loading={loading && !data} />
      <section aria-labelledby="unsettled-title">
        <h2 id="unsettled-title">Orders that a job cannot finish</h2>
        <UnsettledOrders orders={data?.unsettledOrders} />
      </section>
      <section aria-labelledby="payments-title">
        <h2 id="payments-title">Card payments that a job cannot finish</h2>
        <UnsettledPayments payments={data?.unsettledPayments} />
      </section>
      <section aria-labelledby="refunds-title">
        <h2 id="refunds-title">Refunds that a job cannot finish</h2>
        <UnsettledRefunds refunds={data?.unsettledRefunds} />
      </section>
      <p className="quiet">
        A job tries all of these again by itself. One that is “failed” needs a person: look it up at the gateway, by the identifier of the payment
        or refund.
      </p>
      <section aria-labelledby="drift-title">
        <h2 id="drift-title">Differences to the payment gateway</h2>
        <Filters view="payments" label="Filter differences" query={query}>
          <label className="row">
            <input type="checkbox" name="settled" value="yes" />
            <span>Settled ones, too</span>
          </label>
        </Filters>
        <Drifts drifts={data?.paymentDrift} />
      </section>
    </>
  );
}

function UnsettledOrders({ orders }: { orders: PaymentsQuery['unsettledOrders'] | undefined }) {
  return (
    <Table label="Unsettled orders" head={['Order', 'State', 'Failed', 'Tries again', 'Why', 'Total']} empty="None.">
      {orders?.map(({ order, settlement, attempts, nextAttemptAt, lastError }) => (
        <tr key={order.id}>
          <td>
            <a href={hrefOf('orders', order.id)}>{order.id}</a>
          </td>
          <td>
            <Badge status={settlement} />
          </td>
          <td className="figure">{attempts} times</td>
          <td>{formatTime(nextAttemptAt)}</td>
          <td className="text">{lastError}</td>
          <td className="figure">{formatMoney(order.total)}</td>
        </tr>
      ))}
    </Table>
  );
}

function UnsettledPayments({ payments }: { payments: PaymentsQuery['unsettledPayments'] | undefined }) {
  return (
    <Table label="Unsettled payments" head={['Payment', 'For', 'Status', 'State', 'Failed', 'Tries again', 'Why', 'Amount']} empty="None.">
      {payments?.map(({ attempt, order, customer, settlement, attempts, nextAttemptAt, lastError }) => (
        <tr key={attempt.id}>
          <td>
            <code>{attempt.id}</code>
          </td>
          <td>
            {order && <a href={hrefOf('orders', order.id)}>{order.id}</a>}
            {customer && (
              <>
                points of <a href={hrefOf('customers', customer.id)}>{customer.name}</a>
              </>
            )}
          </td>
          <td>
            <Badge status={attempt.status} />
          </td>
          <td>
            <Badge status={settlement} />
          </td>
          <td className="figure">{attempts} times</td>
          <td>{formatTime(nextAttemptAt)}</td>
          <td className="text">{lastError}</td>
          <td className="figure">{formatMoney(attempt.amount)}</td>
        </tr>
      ))}
    </Table>
  );
}

function UnsettledRefunds({ refunds }: { refunds: PaymentsQuery['unsettledRefunds'] | undefined }) {
  return (
    <Table label="Unsettled refunds" head={['Refund', 'Order', 'Status', 'State', 'Failed', 'Tries again', 'Why', 'Amount']} empty="None.">
      {refunds?.map(({ refund, order, settlement, attempts, nextAttemptAt, lastError }) => (
        <tr key={refund.id}>
          <td>
            <code>{refund.id}</code>
          </td>
          <td>
            <a href={hrefOf('orders', order.id)}>{order.id}</a>
          </td>
          <td>
            <Badge status={refund.status} />
          </td>
          <td>
            <Badge status={settlement} />
          </td>
          <td className="figure">{attempts} times</td>
          <td>{formatTime(nextAttemptAt)}</td>
          <td className="text">{lastError}</td>
          <td className="figure">{formatMoney(refund.amount)}</td>
        </tr>
      ))}
    </Table>
  );
}

function Drifts({ drifts }: { drifts: PaymentsQuery['paymentDrift'] | undefined }) {
  return (
    <Table
      label="Differences to the payment gateway"
      head={['Found', 'What', 'Of', 'Order', 'Shop says', 'Gateway says', 'State', 'What to do']}
      empty="None. A day is compared after it has ended."
    >
      {drifts?.map((drift) => (
        <tr key={drift.kind + drift.subject}>
          <td>{formatTime(drift.foundAt)}</td>
          <td>{words(drift.kind)}</td>
          <td>
            <code>{drift.subject}</code>
            {drift.reference && (
              <>
                {' '}
                <code>{drift.reference}</code>
              </>
            )}
          </td>
          <td>{drift.orderId && <a href={hrefOf('orders', drift.orderId)}>{drift.orderId}</a>}</td>
          <td className="figure">{formatMoney(drift.shop)}</td>
          <td className="figure">{formatMoney(drift.gateway)}</td>
          <td>{drift.settled ? 'settled' : 'open'}</td>
          <td className="text">{drift.settled ? '' : advice[drift.kind]}</td>
        </tr>
      ))}
    </Table>
  );
}
