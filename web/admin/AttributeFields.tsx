import { AreaField, TextField } from './fields';
import { pathOf, useCategories } from './categoryTree';
import { Field, textOf } from './Form';
import { type ProductDetailsFragment } from './gql/operations';

interface Props {
  product?: ProductDetailsFragment;
}

/** What a product has besides its name, price and stock. */
export function AttributeFields({ product }: Props) {
  const { categories } = useCategories();
  const own = product?.categories ?? [];
  const options = (categories ?? []).map((c) => ({ id: c.id, name: pathOf(c) }));
  const missing = own.filter((c) => !options.some((option) => option.id === c.id));
  return (
    <>
      <TextField
        label="Handle"
        name="handle"
        maxLength={255}
        defaultValue={product?.handle}
        help="Names it in URLs: small letters a to z, digits and hyphens. Empty for a new product: it is made of the name."
      />
      <TextField label="Vendor" name="vendor" maxLength={255} defaultValue={product?.vendor ?? ''} />
      <TextField label="Type" name="productType" maxLength={255} defaultValue={product?.productType ?? ''} />
      <AreaField label="Tags" name="tags" defaultValue={tagsText(product)} help="With commas between them, at most 50." />
      <AreaField
        label="Images"
        name="images"
        defaultValue={imagesText(product)}
        help="One a line, the first one is the featured one: https://…, and behind a blank what it shows. At most 50."
      />
      <Field label="Categories" name="categoryIds" help="At most 10. Those that are left out here are taken away.">
        {(attributes) => (
          <select multiple size={5} key={options.length} defaultValue={own.map((c) => c.id)} {...attributes}>
            {[...options, ...missing].map((option) => (
              <option key={option.id} value={option.id}>
                {option.name}
              </option>
            ))}
          </select>
        )}
      </Field>
    </>
  );
}

const tagsText = (product?: ProductDetailsFragment) => (product?.tags ?? []).join(', ');

const imagesText = (product?: ProductDetailsFragment) =>
  (product?.images ?? []).map((image) => `${image.url} ${image.altText ?? ''}`.trim()).join('\n');

/** What changes the attributes of a product into what the fields hold. What is the same is left out. */
export function attributesOf(filled: FormData, before?: ProductDetailsFragment) {
  const text = (name: string, was?: string | null) => (textOf(filled, name) === (was ?? '') ? undefined : textOf(filled, name));
  const list = <T,>(items: T[], was: string) => (items.join('\n') === was ? undefined : items);
  const tags = textOf(filled, 'tags').split(',').map((tag) => tag.trim()).filter(Boolean);
  const images = textOf(filled, 'images').split('\n').map((line) => line.trim()).filter(Boolean);
  const categoryIds = filled.getAll('categoryIds').map(String);
  const sameCategories = [...categoryIds].sort().join() === (before?.categories ?? []).map((c) => c.id).sort().join();
  return {
    handle: text('handle', before?.handle),
    vendor: text('vendor', before?.vendor),
    productType: text('productType', before?.productType),
    tags: list(tags, (before?.tags ?? []).join('\n')),
    images: images.join('\n') === imagesText(before) ? undefined : images.map((line) => imageOf(line, before)),
    categoryIds: sameCategories ? undefined : categoryIds,
  };
}

/** An image of a line. One that was there keeps its size. */
function imageOf(line: string, before?: ProductDetailsFragment) {
  const [url, ...words] = line.split(/\s+/);
  const known = before?.images?.find((image) => image.url === url);
  return { url, altText: words.join(' '), width: known?.width, height: known?.height };
}

/** What a person compares, by the name of each field. */
export const attributeTexts = (product: ProductDetailsFragment): [string, string][] => [
  ['Handle', product.handle],
  ['Vendor', product.vendor ?? ''],
  ['Type', product.productType ?? ''],
  ['Tags', tagsText(product)],
  ['Images', imagesText(product)],
  ['Categories', (product.categories ?? []).map((category) => category.name).join(', ')],
];
