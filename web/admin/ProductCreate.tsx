import { useOperation } from '../common/useOperation';
import { AttributeFields, attributesOf } from './AttributeFields';
import { AreaField, MoneyField, minorOf, NumberField, TextField, useCurrency } from './fields';
import { Form, textOf } from './Form';
import { ProductCreateDocument } from './gql/operations';
import { LimitFields, limitOf } from './LimitFields';
import { hrefOf } from './route';

export function ProductCreate({ onCreated }: { onCreated: () => void }) {
  const create = useOperation(ProductCreateDocument, (d) => d.productCreate);
  const currency = useCurrency();
  const submit = async (filled: FormData) => {
    const limit = limitOf(filled);
    const payload = await create.run({
      sku: textOf(filled, 'sku'),
      name: textOf(filled, 'name'),
      description: textOf(filled, 'description'),
      price: { amountMinor: minorOf(textOf(filled, 'price'), currency), currency: currency.currency },
      stock: textOf(filled, 'stock'),
      ...attributesOf(filled),
      limitPerCustomer: limit.quantity === '0' ? undefined : limit,
    });
    if (payload?.product) {
      onCreated();
    }
    return payload;
  };
  const made = create.payload?.product;
  return (
    <Form
      label="Create a product"
      action="Create"
      operation={create}
      onSubmit={submit}
      done={made && <>“{made.name}” is on sale. <a href={hrefOf('products', made.id)}>Open it</a></>}
    >
      <TextField label="SKU" name="sku" required maxLength={255} help="The number in the catalogue. It is unique, and stays." />
      <TextField label="Name" name="name" required maxLength={600} />
      <AreaField label="Description" name="description" maxLength={2000} />
      <MoneyField label="Price" name="price" currency={currency} required />
      <NumberField label="Stock to begin with" name="stock" required min={0} defaultValue="0" />
      <LimitFields />
      <AttributeFields />
    </Form>
  );
}
