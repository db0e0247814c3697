import { useApolloClient } from '@apollo/client/react';

import { formatMoney } from '../common/money';
import { Failure } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { Conflict } from './Conflict';
import { amountText, MoneyField, minorOf } from './fields';
import { Form, textOf } from './Form';
import { ProductVariantUpdateDocument, VariantDetailsDocument, type VariantDetailsFragment } from './gql/operations';
import { LimitFields, limitOf, limitText, sameLimit } from './LimitFields';
import { OptionFields, optionsOf } from './OptionFields';
import { useEditing } from './useEditing';
import { useView } from './useView';

/** Changes the variant of a product with options. */
export function VariantEdit({ id, name }: { id: string; name: string }) {
  const { data, error, loading } = useView(VariantDetailsDocument, { id });
  return (
    <section aria-labelledby="variant-title">
      <h2 id="variant-title">Change {name}</h2>
      <Failure error={error} loading={loading && !data} />
      {data?.productVariant && <EditForm variant={data.productVariant} />}
    </section>
  );
}

const valuesOf = (variant: VariantDetailsFragment) => (variant.selectedOptions ?? []).map((option) => option.value);

/** What a person compares, by the name of each field. */
const textsOf = (variant: VariantDetailsFragment): [string, string][] => [
  ['Options', valuesOf(variant).join(' / ')],
  ['Price', formatMoney(variant.price)],
  ['Limit', limitText({ limit: variant.limitPerCustomer })],
];

const sameFields = (a: VariantDetailsFragment, b: VariantDetailsFragment) => JSON.stringify(textsOf(a)) === JSON.stringify(textsOf(b));

function EditForm({ variant }: { variant: VariantDetailsFragment }) {
  const client = useApolloClient();
  const update = useOperation(ProductVariantUpdateDocument, (d) => d.productVariantUpdate);
  const { base, stored, round, version, startFrom, settle } = useEditing(variant, sameFields);
  const submit = async (filled: FormData) => {
    const [options, limit] = [optionsOf(filled, valuesOf(base).length), limitOf(filled)];
    const priceMinor = minorOf(textOf(filled, 'priceMinor'), base.price);
    const payload = await update.run({
      id: variant.id,
      version,
      options: JSON.stringify(options) === JSON.stringify(valuesOf(base)) ? undefined : options,
      priceMinor: priceMinor === base.price.amountMinor ? undefined : priceMinor,
      limitPerCustomer: sameLimit(limit, base.limitPerCustomer) ? undefined : limit,
    });
    await settle(payload, payload?.variant, async () => {
      const { data } = await client.query({ query: VariantDetailsDocument, variables: { id: variant.id }, fetchPolicy: 'network-only' });
      return data?.productVariant;
    });
    return payload;
  };
  return (
    <Form label="Change the variant" action="Save" operation={update} onSubmit={submit} keep done="Saved.">
      {stored && (
        <Conflict
          differences={textsOf(base).map(([label, before], i): [string, string, string] => [label, before, textsOf(stored)[i][1]])}
          onTake={() => {
            startFrom(stored);
            update.reset();
          }}
        />
      )}
      <div key={round} className="stack">
        <OptionFields names={(base.selectedOptions ?? []).map((option) => option.name)} values={valuesOf(base)} />
        <MoneyField label="Price" name="priceMinor" currency={base.price} required defaultValue={amountText(base.price)} />
        <LimitFields limit={base.limitPerCustomer} />
      </div>
    </Form>
  );
}
