import { useOperation } from '../common/useOperation';
import { MoneyField, minorOf, NumberField, TextField } from './fields';
import { Form, textOf } from './Form';
import { type ProductDetailsFragment, ProductUpdateDocument, ProductVariantsCreateDocument } from './gql/operations';
import { LimitFields, limitOf } from './LimitFields';
import { OptionFields, optionsOf } from './OptionFields';

/** How many options a product may have. */
const maxOptions = 3;

interface Props {
  product: ProductDetailsFragment;
  /** Is called when somebody else has changed the product meanwhile. */
  onConflict: () => void;
}

/** Adds variants to a product, and the options that they need. */
export function VariantsAdd({ product, onConflict }: Props) {
  const options = product.options ?? [];
  return (
    <section aria-labelledby="more-variants-title">
      <h2 id="more-variants-title">More variants</h2>
      {options.length > 0 ? (
        <details>
          <summary>Add a variant</summary>
          <VariantAdd product={product} names={options.map((option) => option.name)} />
        </details>
      ) : (
        <p className="quiet">A product with several variants has options, such as Size. Add one first.</p>
      )}
      {options.length < maxOptions && (
        <details>
          <summary>Add an option</summary>
          <OptionAdd product={product} onConflict={onConflict} />
        </details>
      )}
    </section>
  );
}

function VariantAdd({ product, names }: { product: ProductDetailsFragment; names: readonly string[] }) {
  const add = useOperation(ProductVariantsCreateDocument, (d) => d.productVariantsCreate);
  const submit = (filled: FormData) => {
    const limit = limitOf(filled);
    return add.run({
      productId: product.id,
      variants: [
        {
          sku: textOf(filled, 'sku'),
          options: optionsOf(filled, names.length),
          price: { amountMinor: minorOf(textOf(filled, 'price'), product.price), currency: product.price.currency },
          stock: textOf(filled, 'stock'),
          limitPerCustomer: limit.quantity === '0' ? undefined : limit,
        },
      ],
    });
  };
  return (
    <Form label="Add a variant" action="Add" operation={add} onSubmit={submit} done="It is on sale.">
      <TextField label="SKU" name="sku" required maxLength={255} help="The number in the catalogue. It is unique, and stays." />
      <OptionFields names={names} />
      <MoneyField label="Price" name="price" currency={product.price} required />
      <NumberField label="Stock to begin with" name="stock" required min={0} defaultValue="0" />
      <LimitFields />
    </Form>
  );
}

function OptionAdd({ product, onConflict }: Props) {
  const update = useOperation(ProductUpdateDocument, (d) => d.productUpdate);
  const submit = async (filled: FormData) => {
    const payload = await update.run({
      id: product.id,
      version: product.version,
      options: [...(product.options ?? []).map(({ name }) => ({ name })), { name: textOf(filled, 'name'), value: textOf(filled, 'value') }],
    });
    if (payload?.userErrors.some((e) => e.code === 'VERSION_CONFLICT')) {
      onConflict();
    }
    return payload;
  };
  return (
    <Form label="Add an option" action="Add" operation={update} onSubmit={submit} done="The product has it.">
      <TextField label="Name" name="name" required maxLength={255} help="Such as Size." />
      <TextField label="What the variants have that are here" name="value" required maxLength={255} help="Such as M." />
    </Form>
  );
}
