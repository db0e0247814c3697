import { useQuery } from '@apollo/client/react';

import { Basket, basketHeading } from './Basket';
import { type ProductCardFragment, ProductsDocument, ProductStocksDocument, StockChangedDocument } from './gql/operations';
import { More } from './More';
import { formatCount, formatMoney } from './money';
import { Failure } from './Outcome';
import { usePurchase } from './purchase';
import { useLive } from './useLive';

const pageSize = 12;
/** What the server gives at once, at most. */
const mostAtOnce = 100;
const pollInterval = 2_000;

export function Products() {
  const { setLines } = usePurchase();
  const { data, error, fetchMore } = useQuery(ProductsDocument, { variables: { first: pageSize } });
  const products = data?.products.edges.map((edge) => edge.node) ?? [];
  const live = useLiveStock(products.map((product) => product.id));
  const add = (product: ProductCardFragment) =>
    setLines((before) =>
      before.some((line) => line.product.id === product.id)
        ? before.map((line) => (line.product.id === product.id ? { ...line, quantity: line.quantity + 1 } : line))
        : [...before, { product, quantity: 1 }],
    );
  return (
    <>
      <div className="bar">
        <p className="quiet">{live ? 'Stock is live.' : 'Stock is looked up every two seconds.'}</p>
        <BasketLink />
      </div>
      <Failure error={error} />
      <div className="columns">
        <div>
          <ul className="cards">
            {products.map((product) => (
              <li key={product.id}>
                <Card product={product} onAdd={() => add(product)} />
              </li>
            ))}
          </ul>
          <More pageInfo={data?.products.pageInfo} what="products" fetchMore={(after) => fetchMore({ variables: { after } })} />
        </div>
        <Basket />
      </div>
    </>
  );
}

/** Tells that a product was added, and leads to the basket, which may be far below. */
function BasketLink() {
  const { lines } = usePurchase();
  const count = lines.reduce((n, line) => n + line.quantity, 0);
  return (
    <div className="row">
      <p role="status">{count > 0 && `${count} in the basket`}</p>
      {count > 0 && (
        <button type="button" className="secondary" onClick={() => document.getElementById(basketHeading)?.focus()}>
          Go to basket
        </button>
      )}
    </div>
  );
}

function useLiveStock(productIds: string[]): boolean {
  const none = productIds.length === 0;
  const live = useLive(StockChangedDocument, { productIds }, none);
  useQuery(ProductStocksDocument, {
    variables: { first: Math.min(productIds.length, mostAtOnce) },
    fetchPolicy: 'network-only',
    pollInterval,
    skip: none || live,
  });
  return live;
}

function Card({ product, onAdd }: { product: ProductCardFragment; onAdd: () => void }) {
  const available = BigInt(product.stock.available);
  return (
    <article className="card">
      <h2>{product.name}</h2>
      {product.description && <p className="quiet clamp">{product.description}</p>}
      <p className="price">{formatMoney(product.price)}</p>
      <p className={available > 0n ? 'stock' : 'stock none'} data-sku={product.sku}>
        {available > 0n ? `${formatCount(product.stock.available)} left` : 'Sold out'}
      </p>
      <button type="button" onClick={onAdd} disabled={available <= 0n} aria-label={`Add ${product.name} to the basket`}>
        Add to basket
      </button>
    </article>
  );
}
