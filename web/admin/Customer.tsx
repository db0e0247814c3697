import { formatCount, formatMoney, formatTime } from '../common/money';
import { Failure } from '../common/Outcome';
import { Contact, PostalAddress } from './Contact';
import { CustomerDetailsDocument, type CustomerDetailsQuery } from './gql/operations';
import { Holds } from './Holds';
import { AccountAdjust, PointsAdjust } from './BalanceForms';
import { Badge, Table } from './List';
import { OrderTable } from './Orders';
import { Refresh } from './Refresh';
import { hrefOf } from './route';
import { useView } from './useView';

type Details = NonNullable<CustomerDetailsQuery['customer']>;

/** One customer, with orders, points, accounts and coupons. */
export function Customer({ id }: { id: string }) {
  const { data, error, loading, refetch } = useView(CustomerDetailsDocument, { id });
  const customer = data?.customer;
  return (
    <>
      <Failure error={error} loading={loading && !data} />
      {data && !customer && !error && <p role="status">There is no customer {id}, or the customer has never done anything here.</p>}
      {(error || (data && !customer)) && <Refresh refetch={refetch} />}
      {customer && (
        <>
          <Facts customer={customer} />
          <section aria-labelledby="orders-title">
            <h2 id="orders-title">Orders</h2>
            <OrderTable label="The last orders" orders={customer.orders?.nodes} />
            <p>
              <a href={hrefOf('orders', '', { customer: customer.id })}>All orders of {customer.name}</a>
            </p>
          </section>
          <Holds customerId={customer.id} />
          <section aria-labelledby="points-title">
            <h2 id="points-title">Points: {formatCount(customer.wallet.balance)}</h2>
            <details>
              <summary>Correct the points</summary>
              <PointsAdjust customer={customer} />
            </details>
          </section>
          <Accounts customer={customer} />
          <Coupons customer={customer} />
        </>
      )}
    </>
  );
}

function Facts({ customer }: { customer: Details }) {
  return (
    <section className="card facts" aria-labelledby="facts-title">
      <h2 id="facts-title">{customer.name}</h2>
      <dl>
        <dt>Customer</dt>
        <dd>
          <code>{customer.id}</code>
        </dd>
        <dt>First seen</dt>
        <dd>{formatTime(customer.createdAt)}</dd>
        <dt>Contact</dt>
        <dd>
          <Contact contact={customer.contact} />
        </dd>
        {customer.addresses?.map(({ id, address, isDefault }) => [
          <dt key={`${id}of`}>{isDefault ? 'Default address' : 'Address'}</dt>,
          <dd key={id}>
            <PostalAddress address={address} />
          </dd>,
        ])}
      </dl>
    </section>
  );
}

function Accounts({ customer }: { customer: Details }) {
  return (
    <section aria-labelledby="accounts-title">
      <h2 id="accounts-title">Accounts</h2>
      <Table label="Accounts" head={['Account', 'Name', 'Balance', 'Opened']} empty="The customer has none.">
        {customer.accounts?.nodes.map((account) => (
          <tr key={account.id}>
            <td>{account.id}</td>
            <td>{account.name}</td>
            <td className="figure">{formatMoney(account.balance)}</td>
            <td>{formatTime(account.createdAt)}</td>
          </tr>
        ))}
      </Table>
      {customer.accounts && customer.accounts.nodes.length > 0 && (
        <details>
          <summary>Correct the money in an account</summary>
          <AccountAdjust accounts={customer.accounts.nodes} />
        </details>
      )}
    </section>
  );
}

function Coupons({ customer }: { customer: Details }) {
  return (
    <section aria-labelledby="coupons-title">
      <h2 id="coupons-title">Coupons</h2>
      <Table label="The last coupons" head={['Coupon', 'Taken', 'Status', 'Order']} empty="The customer has taken none.">
        {customer.couponIssues?.nodes.map((issue) => (
          <tr key={issue.id}>
            <td>
              <a href={hrefOf('coupons', issue.coupon.id)}>{issue.coupon.name}</a>
            </td>
            <td>{formatTime(issue.issuedAt)}</td>
            <td>
              <Badge status={issue.status === 'USED' ? 'SPENT' : 'TO_SPEND'} />
            </td>
            <td>{issue.order && <a href={hrefOf('orders', issue.order.id)}>{issue.order.id}</a>}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}
