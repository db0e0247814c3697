import { pathOf } from './categoryTree';
import { NumberField, TextField } from './fields';
import { Field, textOf } from './Form';
import type { CategoryRowFragment } from './gql/operations';

interface Props {
  category?: CategoryRowFragment;
  /** The tree, as far as it is read. */
  categories?: readonly CategoryRowFragment[];
}

/** What a category is, and where it stands. */
export function CategoryFields({ category, categories = [] }: Props) {
  // It cannot be beneath itself.
  const parents = categories.filter((c) => c.id !== category?.id && !c.ancestors?.some((above) => above.id === category?.id));
  return (
    <>
      <TextField label="Name" name="name" required maxLength={200} defaultValue={category?.name} />
      <TextField
        label="Handle"
        name="handle"
        maxLength={255}
        defaultValue={category?.handle}
        help="Names it in URLs: small letters a to z, digits and hyphens. Empty for a new category: it is made of the name."
      />
      <Field label="Beneath" name="parentId" help="The tree is at most 8 deep.">
        {(attributes) => (
          <select key={parents.length} defaultValue={category?.parent?.id ?? ''} {...attributes}>
            <option value="">None: it is at the top</option>
            {parents.map((parent) => (
              <option key={parent.id} value={parent.id}>
                {pathOf(parent)}
              </option>
            ))}
          </select>
        )}
      </Field>
      <NumberField
        label="Position"
        name="position"
        min={0}
        max={1_000_000}
        defaultValue={category && String(category.position)}
        help="Categories beneath the same one are sorted by it. Empty: the last one."
      />
    </>
  );
}

/** What changes a category into what the fields hold. What is the same is left out. */
export function categoryOf(filled: FormData, before?: CategoryRowFragment) {
  const text = (name: string, was?: string) => (textOf(filled, name) === (was ?? '') ? undefined : textOf(filled, name));
  const parentId = textOf(filled, 'parentId');
  const position = text('position', before && String(before.position));
  return {
    handle: text('handle', before?.handle),
    parentId: parentId === (before?.parent?.id ?? '') ? undefined : parentId || null,
    position: position ? Number(position) : undefined,
  };
}
