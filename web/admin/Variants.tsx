import { formatCount, formatMoney } from '../common/money';
import { Outcome } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { useConfirmation } from './Confirmation';
import { ProductVariantArchiveDocument, ProductVariantUnarchiveDocument, type VariantRowFragment } from './gql/operations';
import { Badge, Table } from './List';
import { hrefOf } from './route';

/** The variants of a product with options: one of them is chosen, to be changed, and to see and correct its stock. */
export function Variants({
  productId,
  variants,
  chosen,
}: {
  productId: string;
  variants: readonly VariantRowFragment[];
  chosen: VariantRowFragment;
}) {
  const archive = useOperation(ProductVariantArchiveDocument, (d) => d.productVariantArchive);
  const unarchive = useOperation(ProductVariantUnarchiveDocument, (d) => d.productVariantUnarchive);
  const ask = useConfirmation();
  const takeOff = async (variant: VariantRowFragment) => {
    const agreed = await ask({
      title: `Take “${variant.title}” off sale?`,
      text: 'Nobody can order it any more, until it is put back on sale. Orders that have it keep it, and its stock stays.',
      action: 'Take off sale',
    });
    if (agreed) {
      unarchive.reset();
      await archive.run({ id: variant.id });
    }
  };
  const putBack = async (variant: VariantRowFragment) => {
    archive.reset();
    await unarchive.run({ id: variant.id });
  };
  return (
    <section aria-labelledby="variants-title">
      <h2 id="variants-title">Variants</h2>
      <Table label="Variants" head={['Options', 'SKU', 'Price', 'Stock', 'What can be done']} empty="There are none.">
        {variants.map((variant) => (
          <tr key={variant.id}>
            <td>
              {variant.title} {variant.archivedAt && <Badge status="ARCHIVED" />}
            </td>
            <td>{variant.sku}</td>
            <td className="figure">{formatMoney(variant.price)}</td>
            <td className="figure">{formatCount(variant.stock?.available)}</td>
            <td>
              <div className="row">
                <a
                  href={hrefOf('products', productId, { variant: variant.id })}
                  aria-current={variant.id === chosen.id ? 'true' : undefined}
                  aria-label={`Open ${variant.title}`}
                >
                  {variant.id === chosen.id ? 'Shown below' : 'Open'}
                </a>
                {variant.archivedAt ? (
                  <button type="button" disabled={unarchive.busy} aria-label={`Put ${variant.title} back on sale`} onClick={() => void putBack(variant)}>
                    Put back on sale
                  </button>
                ) : (
                  <button
                    type="button"
                    className="secondary"
                    disabled={archive.busy}
                    aria-label={`Take ${variant.title} off sale`}
                    onClick={() => void takeOff(variant)}
                  >
                    Take off sale
                  </button>
                )}
              </div>
            </td>
          </tr>
        ))}
      </Table>
      <Outcome error={archive.error ?? unarchive.error} payload={archive.payload ?? unarchive.payload}>
        Done.
      </Outcome>
    </section>
  );
}
