import { formatCount, formatMoney, formatTime } from '../common/money';
import { nameOf } from '../common/names';
import { Failure } from '../common/Outcome';
import { OverviewDocument } from './gql/operations';
import { Table } from './List';
import { Refresh } from './Refresh';
import { hrefOf } from './route';
import { useView } from './useView';

const days = 30;

/** What sells, and what is about to be sold out. */
export function Overview() {
  const { data, error, loading, refetch } = useView(OverviewDocument, { days });
  return (
    <>
      <Refresh refetch={refetch} />
      <Failure error={error} loading={loading && !data} />
      <section aria-labelledby="low-title">
        <h2 id="low-title">Low stock</h2>
        <Table label="Low stock" head={['SKU', 'Product', 'Stock', 'Low from', 'Since']} empty="There is enough of everything.">
          {data?.lowStock?.map(({ product, variant, threshold, since }) => (
            <tr key={variant.id}>
              <td>{variant.sku}</td>
              <td>
                <a href={hrefOf('products', product.id, { variant: variant.id })}>{nameOf(product.name, variant.title)}</a>
              </td>
              <td className="figure">{formatCount(variant.stock?.available)}</td>
              <td className="figure">{formatCount(threshold)}</td>
              <td>{formatTime(since)}</td>
            </tr>
          ))}
        </Table>
      </section>
      <section aria-labelledby="popular-title">
        <h2 id="popular-title">Sold most in {days} days</h2>
        <Table label="Sold most" head={['SKU', 'Product', 'Orders', 'Units', 'Before discounts']} empty="Nothing was sold.">
          {data?.popularProducts?.map(({ product, orders, units, revenue }) => (
            <tr key={product.id}>
              <td>{product.sku}</td>
              <td>
                <a href={hrefOf('products', product.id)}>{product.name}</a>
              </td>
              <td className="figure">{formatCount(orders)}</td>
              <td className="figure">{formatCount(units)}</td>
              <td className="figure">{formatMoney(revenue)}</td>
            </tr>
          ))}
        </Table>
        <p className="quiet">Counted from events, a moment behind.</p>
      </section>
    </>
  );
}
