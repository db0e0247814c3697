import { More } from '../common/More';
import { formatMoney, formatTime } from '../common/money';
import { Failure } from '../common/Outcome';
import { type OrderRowFragment, OrdersDocument, type OrderStatus } from './gql/operations';
import { Badge, dayStart, Filters, pageSize, Select, Table, Total } from './List';
import { Refresh } from './Refresh';
import { hrefOf } from './route';
import { useView } from './useView';

const statuses = { '': 'All', PENDING: 'Pending', PAID: 'Paid', CANCELLED: 'Cancelled', EXPIRED: 'Expired', FAILED: 'Failed' };
const fulfilments = { '': 'All', UNFULFILLED: 'Not sent', FULFILLED: 'Sent' };
const sorts = { '': 'Newest first', OLDEST: 'Oldest first' };

export function Orders({ query }: { query: URLSearchParams }) {
  const [status, fulfilment] = [query.get('status'), query.get('fulfilment')];
  const [from, until] = [dayStart(query.get('from')), dayStart(query.get('until'), 1)];
  const filter = {
    status: status ? [status as OrderStatus] : undefined,
    fulfilment: fulfilment === 'FULFILLED' || fulfilment === 'UNFULFILLED' ? (fulfilment as 'FULFILLED') : undefined,
    createdAt: from || until ? { from, until } : undefined,
  };
  const { data, error, loading, fetchMore, refetch } = useView(OrdersDocument, {
    first: pageSize,
    customerId: query.get('customer') || undefined,
    filter,
    orderBy: query.get('sort') === 'OLDEST' ? 'OLDEST' : 'NEWEST',
  });
  const orders = data?.orders;
  return (
    <>
      <Filters view="orders" label="Filter orders" query={query}>
        <Select label="Status" name="status" options={statuses} />
        <Select label="Delivery" name="fulfilment" options={fulfilments} />
        <label className="field">
          <span>From</span>
          <input type="date" name="from" />
        </label>
        <label className="field">
          <span>To</span>
          <input type="date" name="until" />
        </label>
        <label className="field">
          <span>Customer</span>
          <input name="customer" placeholder="user_…" autoComplete="off" />
        </label>
        <Select label="Sorted" name="sort" options={sorts} />
      </Filters>
      <FindOrder />
      <Refresh refetch={refetch} />
      <Failure error={error} loading={loading && !data} />
      <Total total={orders?.totalCount} what="orders" />
      <OrderTable label="Orders" orders={orders?.edges.map((edge) => edge.node)} />
      <More pageInfo={orders?.pageInfo} what="orders" fetchMore={(after) => fetchMore({ variables: { after } })} />
    </>
  );
}

/** Leads to an order of which a customer has told the identifier. */
function FindOrder() {
  return (
    <details>
      <summary>Open an order by its identifier</summary>
      <form
        className="row"
        aria-label="Open an order"
        onSubmit={(event) => {
          event.preventDefault();
          const id = String(new FormData(event.currentTarget).get('id') ?? '').trim();
          window.location.hash = hrefOf('orders', id);
        }}
      >
        <label className="field">
          <span>Identifier</span>
          <input name="id" required pattern="\s*ord_[A-Za-z0-9_\-]+\s*" title="It begins with ord_." placeholder="ord_…" autoComplete="off" />
        </label>
        <button type="submit">Open</button>
      </form>
    </details>
  );
}

export function OrderTable({ label, orders }: { label: string; orders?: readonly OrderRowFragment[] }) {
  return (
    <Table label={label} head={['Order', 'Placed', 'Status', 'Delivery', 'Customer', 'Total']} empty="No order is like that.">
      {orders?.map((order) => (
        <tr key={order.id}>
          <td>
            <a href={hrefOf('orders', order.id)}>{order.id}</a>
          </td>
          <td>{formatTime(order.createdAt)}</td>
          <td>
            <Badge status={order.status} />
          </td>
          <td>{order.fulfilment === 'FULFILLED' ? 'sent' : order.status === 'PAID' ? 'to send' : ''}</td>
          <td>{order.customer && <a href={hrefOf('customers', order.customer.id)}>{order.customer.name}</a>}</td>
          <td className="figure">{formatMoney(order.total)}</td>
        </tr>
      ))}
    </Table>
  );
}
