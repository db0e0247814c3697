import { formatCount, formatMoney, formatTime } from '../common/money';
import { nameOf } from '../common/names';
import { Failure, Outcome } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { useConfirmation } from './Confirmation';
import { ProductArchiveDocument, type ProductDetailsFragment, ProductDetailsDocument, ProductUnarchiveDocument } from './gql/operations';
import { Badge } from './List';
import { ProductEdit } from './ProductEdit';
import { Refresh } from './Refresh';
import { useRoute } from './route';
import { Stock } from './Stock';
import { useView } from './useView';
import { VariantEdit } from './VariantEdit';
import { Variants } from './Variants';
import { VariantsAdd } from './VariantsAdd';

/** One product, and what can be done about it. */
export function Product({ id }: { id: string }) {
  const { data, error, loading, refetch } = useView(ProductDetailsDocument, { id });
  const { query } = useRoute();
  const product = data?.product;
  const variants = product?.variants?.nodes ?? [];
  const chosen = variants.find((variant) => variant.id === query.get('variant')) ?? variants.at(0);
  const hasOptions = (product?.options?.length ?? 0) > 0;
  return (
    <>
      <Failure error={error} loading={loading && !data} />
      {data && !product && !error && <p role="status">There is no product {id}.</p>}
      {(error || (data && !product)) && <Refresh refetch={refetch} />}
      {product && (
        <>
          <Facts product={product} />
          <ProductEdit product={product} />
          {hasOptions && chosen && (
            <>
              <Variants productId={product.id} variants={variants} chosen={chosen} />
              <VariantEdit key={chosen.id} id={chosen.id} name={chosen.title} />
            </>
          )}
          <VariantsAdd product={product} onConflict={() => void refetch().catch(() => {})} />
          {chosen && <Stock key={chosen.id} name={nameOf(product.name, chosen.title)} variant={chosen} />}
        </>
      )}
    </>
  );
}

function priceText({ price, priceRange: { max } }: ProductDetailsFragment): string {
  return price.amountMinor === max.amountMinor ? formatMoney(price) : `${formatMoney(price)} to ${formatMoney(max)}`;
}

function Facts({ product }: { product: ProductDetailsFragment }) {
  const archive = useOperation(ProductArchiveDocument, (d) => d.productArchive);
  const unarchive = useOperation(ProductUnarchiveDocument, (d) => d.productUnarchive);
  const ask = useConfirmation();
  const takeOff = async () => {
    const agreed = await ask({
      title: `Take “${product.name}” off sale?`,
      text: 'Nobody can order it any more, until it is put back on sale. Orders that have it keep it, and its stock stays.',
      action: 'Take off sale',
    });
    if (agreed) {
      unarchive.reset();
      await archive.run({ id: product.id });
    }
  };
  const putBack = async () => {
    archive.reset();
    await unarchive.run({ id: product.id });
  };
  return (
    <section className="card facts" aria-labelledby="facts-title">
      <h2 id="facts-title">
        {product.name} {product.archivedAt && <Badge status="ARCHIVED" />}
      </h2>
      <dl>
        <dt>SKU</dt>
        <dd>{product.sku}</dd>
        <dt>Price</dt>
        <dd>{priceText(product)}</dd>
        <dt>Stock</dt>
        <dd data-testid="stock">{formatCount(product.stock?.available)}</dd>
        <dt>Created</dt>
        <dd>{formatTime(product.createdAt)}</dd>
        <dt>Changed</dt>
        <dd>
          {formatTime(product.updatedAt)}, version {product.version}
        </dd>
        {product.archivedAt && (
          <>
            <dt>Off sale since</dt>
            <dd>{formatTime(product.archivedAt)}</dd>
          </>
        )}
      </dl>
      <div className="row">
        {product.archivedAt ? (
          <button type="button" disabled={unarchive.busy} onClick={() => void putBack()}>
            Put back on sale
          </button>
        ) : (
          <button type="button" className="secondary" disabled={archive.busy} onClick={() => void takeOff()}>
            Take off sale
          </button>
        )}
      </div>
      <Outcome error={archive.error ?? unarchive.error} payload={archive.payload ?? unarchive.payload}>
        {product.archivedAt ? 'It is off sale.' : 'It is on sale.'}
      </Outcome>
    </section>
  );
}
