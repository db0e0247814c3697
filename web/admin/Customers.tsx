import { More } from '../common/More';
import { formatTime } from '../common/money';
import { Failure } from '../common/Outcome';
import { Contact } from './Contact';
import { CustomersDocument } from './gql/operations';
import { dayStart, Filters, pageSize, Select, Table, Total } from './List';
import { Refresh } from './Refresh';
import { go, hrefOf } from './route';
import { useView } from './useView';

export function Customers({ query }: { query: URLSearchParams }) {
  const [from, until] = [dayStart(query.get('from')), dayStart(query.get('until'), 1)];
  const { data, error, loading, fetchMore, refetch } = useView(CustomersDocument, {
    first: pageSize,
    filter: from || until ? { createdAt: { from, until } } : undefined,
    orderBy: query.get('sort') === 'OLDEST' ? 'OLDEST' : 'NEWEST',
  });
  const customers = data?.customers;
  return (
    <>
      <form
        className="row filters"
        aria-label="Open a customer"
        onSubmit={(event) => {
          event.preventDefault();
          const id = String(new FormData(event.currentTarget).get('id') ?? '').trim();
          go(hrefOf('customers', id.startsWith('user_') ? id : `user_${id}`));
        }}
      >
        <label className="field">
          <span>Identifier</span>
          <input name="id" required placeholder="user_…" autoComplete="off" />
        </label>
        <button type="submit">Open</button>
      </form>
      <Filters view="customers" label="Filter customers" query={query}>
        <label className="field">
          <span>First seen from</span>
          <input type="date" name="from" />
        </label>
        <label className="field">
          <span>To</span>
          <input type="date" name="until" />
        </label>
        <Select label="Sorted" name="sort" options={{ '': 'Newest first', OLDEST: 'Oldest first' }} />
      </Filters>
      <Refresh refetch={refetch} />
      <Failure error={error} loading={loading && !data} />
      <Total total={customers?.totalCount} what="customers" />
      <Table label="Customers" head={['Customer', 'Name', 'Contact', 'First seen']} empty="No customer is like that.">
        {customers?.edges.map(({ node }) => (
          <tr key={node.id}>
            <td>
              <a href={hrefOf('customers', node.id)}>{node.id}</a>
            </td>
            <td>{node.name}</td>
            <td className="text">
              <Contact contact={node.contact} />
            </td>
            <td>{formatTime(node.createdAt)}</td>
          </tr>
        ))}
      </Table>
      <More pageInfo={customers?.pageInfo} what="customers" fetchMore={(after) => fetchMore({ variables: { after } })} />
    </>
  );
}
