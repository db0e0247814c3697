import { useQuery } from '@apollo/client/react';
import { useEffect, useMemo, useState } from 'react';

import { formatCount, formatMoney } from '../common/money';
import { More } from '../common/More';
import { nameOf } from '../common/names';
import { Failure } from '../common/Outcome';
import { Basket, basketHeading } from './Basket';
import { Categories } from './Categories';
import {
  type ProductCardFragment,
  type ProductFilter,
  ProductsDocument,
  ProductStocksDocument,
  ProductVariantsDocument,
  StockChangedDocument,
  type VariantCardFragment,
} from './gql/operations';
import { Picture } from './Picture';
import { usePurchase } from './purchase';
import { useLive } from './useLive';

const pageSize = 12;
/** What the server gives at once, at most. */
const mostAtOnce = 100;
const pollInterval = 2_000;
/** How long nobody types before the shop searches, in milliseconds. */
const typingPause = 250;
/** What the server takes, at most. */
const longestSearch = 200;
/** How many tags a card shows: a product may have 50. */
const mostTags = 5;

export function Products() {
  const { setLines } = usePurchase();
  const [typed, setTyped] = useState('');
  const search = usePaused(typed);
  const [chosen, setChosen] = useState<Chosen>({});
  const filter = useMemo(() => ({ search, ...chosen }), [search, chosen]);
  const { data, previousData, error, fetchMore } = useQuery(ProductsDocument, {
    variables: { first: pageSize, filter },
    errorPolicy: 'all', // products whose stock cannot be read are shown without it
  });
  // While a search is under way, what was found before stays in place.
  const list = (data?.products ?? (error ? null : previousData?.products)) || undefined;
  const products = list?.edges.map((edge) => edge.node) ?? [];
  const live = useLiveStock(products.map((product) => product.id), filter);
  const add = (name: string, variant: VariantCardFragment) =>
    setLines((before) =>
      before.some((line) => line.variant.id === variant.id)
        ? before.map((line) => (line.variant.id === variant.id ? { ...line, quantity: line.quantity + 1 } : line))
        : [...before, { name, variant, quantity: 1 }],
    );
  return (
    <>
      <div className="bar">
        <p className="quiet">{live ? 'Stock is live.' : 'Stock is looked up every two seconds.'}</p>
        <BasketLink />
      </div>
      <form role="search" className="row" onSubmit={(e) => e.preventDefault()}>
        <label className="field">
          <span>Search products</span>
          <input
            type="search"
            placeholder="Beginnings of words"
            maxLength={longestSearch}
            value={typed}
            onChange={(e) => setTyped(e.target.value)}
          />
        </label>
      </form>
      <Failure error={error} />
      <Categories current={chosen.categoryId} onChoose={(categoryId) => setChosen({ ...chosen, categoryId })} />
      <div className="columns">
        <div>
          <Choices chosen={chosen} onChoose={setChosen} />
          <p role="status">{data?.products?.edges.length === 0 && nothingFound(search)}</p>
          <ul className="cards">
            {products.map((product) => (
              <li key={product.id}>
                <Card
                  product={product}
                  live={live}
                  onAdd={(variant) => add(product.name, variant)}
                  onChoose={(more) => setChosen({ ...chosen, ...more })}
                />
              </li>
            ))}
          </ul>
          <More pageInfo={list?.pageInfo} what="products" fetchMore={(after) => fetchMore({ variables: { after } })} />
        </div>
        <Basket />
      </div>
    </>
  );
}

/** Which products are shown, besides those that are searched for. */
type Chosen = Pick<ProductFilter, 'categoryId' | 'vendor' | 'tag'>;

const nothingFound = (search: string) => (search ? `No product has words that begin like “${search}”.` : 'There is no product here.');

/** The vendor and the tag that were chosen, to be taken back. */
function Choices({ chosen, onChoose }: { chosen: Chosen; onChoose: (chosen: Chosen) => void }) {
  if (!chosen.vendor && !chosen.tag) {
    return null;
  }
  return (
    <p className="row">
      {chosen.vendor && (
        <button type="button" className="secondary" onClick={() => onChoose({ ...chosen, vendor: undefined })}>
          Not only from {chosen.vendor}
        </button>
      )}
      {chosen.tag && (
        <button type="button" className="secondary" onClick={() => onChoose({ ...chosen, tag: undefined })}>
          Not only tagged {chosen.tag}
        </button>
      )}
    </p>
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

/** What was typed last, once nobody has typed for a moment. Blanks around it do not count. */
function usePaused(typed: string): string {
  const text = typed.trim();
  const [paused, setPaused] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setPaused(text), typingPause);
    return () => clearTimeout(timer);
  }, [text]);
  return paused;
}

function useLiveStock(productIds: string[], filter: ProductFilter): boolean {
  const none = productIds.length === 0;
  const live = useLive(StockChangedDocument, { productIds }, none);
  useQuery(ProductStocksDocument, {
    variables: { first: Math.min(productIds.length, mostAtOnce), filter },
    fetchPolicy: 'network-only',
    pollInterval,
    skip: none || live,
  });
  return live;
}

interface CardProps {
  product: ProductCardFragment;
  live: boolean;
  onAdd: (variant: VariantCardFragment) => void;
  onChoose: (more: Chosen) => void;
}

function Card({ product, live, onAdd, onChoose }: CardProps) {
  const [open, setOpen] = useState(false);
  const { min, max } = product.priceRange;
  const only = product.options?.length === 0 ? product.variants?.nodes[0] : undefined;
  return (
    <article className="card">
      <Picture image={product.featuredImage} name={product.name} />
      <h2>{product.name}</h2>
      {product.vendor && (
        <button type="button" className="link" onClick={() => onChoose({ vendor: product.vendor })} aria-label={`Only from ${product.vendor}`}>
          {product.vendor}
        </button>
      )}
      {product.description && <p className="quiet clamp">{product.description}</p>}
      {product.tags.length > 0 && (
        <ul className="tags" aria-label={`Tags of ${product.name}`}>
          {product.tags.slice(0, mostTags).map((tag) => (
            <li key={tag}>
              <button type="button" className="link" onClick={() => onChoose({ tag })} aria-label={`Only tagged ${tag}`}>
                {tag}
              </button>
            </li>
          ))}
        </ul>
      )}
      {only ? (
        <Offer name={product.name} variant={only} onAdd={onAdd} />
      ) : open ? (
        <Choice product={product} live={live} onAdd={onAdd} />
      ) : (
        <>
          <p className="price">{min.amountMinor === max.amountMinor ? formatMoney(min) : `${formatMoney(min)} to ${formatMoney(max)}`}</p>
          <Left stock={product.stock} />
          <button type="button" className="secondary" aria-label={`Choose options of ${product.name}`} onClick={() => setOpen(true)}>
            Choose options
          </button>
        </>
      )}
    </article>
  );
}

const isSoldOut = (stock?: { available: string } | null) => stock != null && BigInt(stock.available) <= 0n; // null: it could not be read

function Left({ stock, sku }: { stock?: { available: string } | null; sku?: string }) {
  const soldOut = isSoldOut(stock);
  return (
    <p className={soldOut ? 'stock none' : 'stock'} data-sku={sku}>
      {soldOut ? 'Sold out' : `${formatCount(stock?.available)} left`}
    </p>
  );
}

function Offer({ name, variant, onAdd }: { name: string; variant: VariantCardFragment; onAdd: (variant: VariantCardFragment) => void }) {
  return (
    <>
      <p className="price">{formatMoney(variant.price)}</p>
      <Left stock={variant.stock} sku={variant.sku} />
      <button
        type="button"
        onClick={() => onAdd(variant)}
        disabled={isSoldOut(variant.stock)}
        aria-label={`Add ${nameOf(name, variant.title)} to the basket`}
      >
        Add to basket
      </button>
    </>
  );
}

/** The options of a product, of which one value each is chosen. Price and stock are those of the variant that has them. */
function Choice({ product, live, onAdd }: { product: ProductCardFragment; live: boolean; onAdd: (variant: VariantCardFragment) => void }) {
  const { data, error } = useQuery(ProductVariantsDocument, {
    variables: { id: product.id },
    fetchPolicy: 'cache-and-network',
    errorPolicy: 'all',
    pollInterval: live ? 0 : pollInterval,
  });
  const [picked, setPicked] = useState<string[] | null>(null);
  const variants = data?.product?.variants?.nodes ?? [];
  const first = variants.find((variant) => !isSoldOut(variant.stock)) ?? variants.at(0);
  const values = picked ?? first?.selectedOptions.map((option) => option.value) ?? [];
  const chosen = variants.find((variant) => variant.selectedOptions.every((option, i) => option.value === values[i]));
  return (
    <>
      <Failure error={error} />
      {data?.product?.options?.map((option, i) => (
        <fieldset key={option.name} className="options">
          <legend>{option.name}</legend>
          {option.values.map((value) => (
            <label key={value}>
              <input
                type="radio"
                name={`${product.id} ${option.name}`}
                value={value}
                checked={values[i] === value}
                onChange={() => setPicked(values.with(i, value))}
              />
              <span>{value}</span>
            </label>
          ))}
        </fieldset>
      ))}
      <div role="status">
        {chosen ? (
          <Offer name={product.name} variant={chosen} onAdd={onAdd} />
        ) : (
          data && <p className="stock none">There is no {product.name} with these options.</p>
        )}
      </div>
    </>
  );
}
