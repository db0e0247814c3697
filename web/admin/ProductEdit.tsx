import { useApolloClient } from '@apollo/client/react';

import { formatMoney } from '../common/money';
import { useOperation } from '../common/useOperation';
import { AttributeFields, attributesOf, attributeTexts } from './AttributeFields';
import { Conflict } from './Conflict';
import { AreaField, amountText, MoneyField, minorOf, TextField } from './fields';
import { Form, textOf } from './Form';
import { type ProductDetailsFragment, ProductDetailsDocument, ProductUpdateDocument } from './gql/operations';
import { LimitFields, limitOf, limitText, sameLimit } from './LimitFields';
import { useEditing } from './useEditing';

/** Whether all that the form shows is the same: then one version is as good as the other, such as after the product was taken off sale. */
const sameFields = (a: ProductDetailsFragment, b: ProductDetailsFragment) =>
  a.name === b.name && a.description === b.description && a.price.amountMinor === b.price.amountMinor && limitText({ limit: a.limitPerCustomer }) === limitText({ limit: b.limitPerCustomer }) &&
  JSON.stringify(attributeTexts(a)) === JSON.stringify(attributeTexts(b));

/** Changes a product. Only what was changed here is sent, so that it takes back nothing of others. */
export function ProductEdit({ product }: { product: ProductDetailsFragment }) {
  const client = useApolloClient();
  const update = useOperation(ProductUpdateDocument, (d) => d.productUpdate);
  const { base, stored, round, version, startFrom, settle } = useEditing(product, sameFields);
  const hasOptions = (product.options?.length ?? 0) > 0; // then prices and limits are those of the variants

  const submit = async (filled: FormData) => {
    const [name, description] = [textOf(filled, 'name'), textOf(filled, 'description')];
    const priceMinor = hasOptions ? base.price.amountMinor : minorOf(textOf(filled, 'priceMinor'), base.price);
    const limit = hasOptions ? null : limitOf(filled);
    const payload = await update.run({
      id: product.id,
      version,
      name: name === base.name ? undefined : name,
      description: description === base.description ? undefined : description,
      ...attributesOf(filled, base),
      priceMinor: priceMinor === base.price.amountMinor ? undefined : priceMinor,
      limitPerCustomer: !limit || sameLimit(limit, base.limitPerCustomer) ? undefined : limit,
    });
    await settle(payload, payload?.product, async () => {
      const { data } = await client.query({ query: ProductDetailsDocument, variables: { id: product.id }, fetchPolicy: 'network-only' });
      return data?.product;
    });
    return payload;
  };
  return (
    <section aria-labelledby="edit-title">
      <h2 id="edit-title">Change</h2>
      <Form label="Change the product" action="Save" operation={update} onSubmit={submit} keep done="Saved.">
        {stored && (
          <Conflict
            differences={[
              ['Name', base.name, stored.name],
              ['Description', base.description, stored.description],
              ['Price', formatMoney(base.price), formatMoney(stored.price)],
              ['Limit', limitText({ limit: base.limitPerCustomer }), limitText({ limit: stored.limitPerCustomer })],
              ...attributeTexts(base).map(([name, before], i): [string, string, string] => [name, before, attributeTexts(stored)[i][1]]),
            ]}
            onTake={() => {
              startFrom(stored);
              update.reset();
            }}
          />
        )}
        <div key={round} className="stack">
          <TextField label="Name" name="name" required maxLength={600} defaultValue={base.name} />
          <AreaField label="Description" name="description" maxLength={2000} defaultValue={base.description} />
          {!hasOptions && (
            <>
              <MoneyField label="Price" name="priceMinor" currency={base.price} required defaultValue={amountText(base.price)} />
              <LimitFields limit={base.limitPerCustomer} />
            </>
          )}
          <AttributeFields product={base} />
        </div>
      </Form>
    </section>
  );
}
