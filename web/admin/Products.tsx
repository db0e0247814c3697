import { More } from '../common/More';
import { formatCount, formatMoney } from '../common/money';
import { Failure } from '../common/Outcome';
import { type ProductOrder, type ProductRowFragment, ProductsDocument } from './gql/operations';
import { Filters, pageSize, Select, Table, Total } from './List';
import { ProductCreate } from './ProductCreate';
import { Refresh } from './Refresh';
import { hrefOf } from './route';
import { useView } from './useView';

const sorts = {
  '': 'Newest first',
  OLDEST: 'Oldest first',
  NAME: 'By name',
  NAME_DESC: 'By name, backwards',
  PRICE_ASC: 'Cheapest first',
  PRICE_DESC: 'Dearest first',
};

export function Products({ query }: { query: URLSearchParams }) {
  const { data, error, loading, fetchMore, refetch } = useView(ProductsDocument, {
    first: pageSize,
    filter: {
      search: query.get('search') || undefined,
      includeArchived: query.has('archived'),
      available: query.get('stock') ? query.get('stock') === 'some' : undefined,
    },
    orderBy: (query.get('sort') || 'NEWEST') as ProductOrder,
  });
  const products = data?.products;
  return (
    <>
      <Filters view="products" label="Search products" query={query}>
        <label className="field">
          <span>Words of the name or SKU</span>
          <input type="search" name="search" maxLength={200} placeholder="Beginnings of words" />
        </label>
        <Select label="Stock" name="stock" options={{ '': 'All', some: 'In stock', none: 'Sold out' }} />
        <Select label="Sorted" name="sort" options={sorts} />
        <label className="row">
          <input type="checkbox" name="archived" value="yes" />
          <span>Off sale, too</span>
        </label>
      </Filters>
      <Refresh refetch={refetch} />
      <Failure error={error} loading={loading && !data} />
      <Total total={products?.totalCount} what="products" />
      <ProductTable label="Products" products={products?.edges.map((edge) => edge.node)} />
      <More pageInfo={products?.pageInfo} what="products" fetchMore={(after) => fetchMore({ variables: { after } })} />
      <section aria-labelledby="new-title">
        <h2 id="new-title">More products</h2>
        <details>
          <summary>Create a product</summary>
          <ProductCreate onCreated={() => void refetch().catch(() => {})} />
        </details>
        <details>
          <summary>Import products from a file</summary>
          <p>
            <code>holdfast import products.csv</code> brings the products in line with an export of Shopify, and <code>--check</code> shows first
            what would be done. Products are known by their SKU; what was sold since the last file stays sold.
          </p>
        </details>
      </section>
    </>
  );
}

function ProductTable({ label, products }: { label: string; products?: readonly ProductRowFragment[] }) {
  return (
    <Table label={label} head={['SKU', 'Product', 'Price', 'Stock', 'On sale']} empty="No product is like that.">
      {products?.map((product) => (
        <tr key={product.id}>
          <td>{product.sku}</td>
          <td>
            <a href={hrefOf('products', product.id)}>{product.name}</a>
          </td>
          <td className="figure">{formatMoney(product.price)}</td>
          <td className="figure">{formatCount(product.stock?.available)}</td>
          <td>{product.archivedAt ? 'archived' : 'yes'}</td>
        </tr>
      ))}
    </Table>
  );
}
