import { useApolloClient } from '@apollo/client/react';

import { Failure, Outcome } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { CategoryFields, categoryOf } from './CategoryFields';
import { pathOf, useCategories } from './categoryTree';
import { useConfirmation } from './Confirmation';
import { Conflict } from './Conflict';
import { Form, textOf } from './Form';
import { CategoryDeleteDocument, CategoryDetailsDocument, type CategoryRowFragment, CategoryUpdateDocument } from './gql/operations';
import { Refresh } from './Refresh';
import { go, hrefOf } from './route';
import { useEditing } from './useEditing';

/** One category, and what can be done about it. */
export function Category({ id }: { id: string }) {
  const { categories, error, loading, refetch } = useCategories();
  const category = categories?.find((c) => c.id === id);
  return (
    <>
      <Failure error={error} loading={loading} />
      {categories && !category && !error && <p role="status">There is no category {id}.</p>}
      {!loading && !category && <Refresh refetch={refetch} />}
      {category && (
        <>
          <CategoryEdit category={category} categories={categories} reread={refetch} />
          <CategoryDelete category={category} reread={refetch} />
        </>
      )}
    </>
  );
}

interface Props {
  category: CategoryRowFragment;
  /** Reads the tree again: a category that is moved, or gone, changes the paths of others. */
  reread: () => Promise<unknown>;
}

/** What a person compares, by the name of each field. */
const textsOf = (category: CategoryRowFragment): [string, string][] => [
  ['Name', category.name],
  ['Handle', category.handle],
  ['Path', pathOf(category)],
  ['Position', String(category.position)],
];

const sameFields = (a: CategoryRowFragment, b: CategoryRowFragment) => JSON.stringify(textsOf(a)) === JSON.stringify(textsOf(b));

/** Changes a category. */
function CategoryEdit({ category, categories, reread }: Props & { categories?: readonly CategoryRowFragment[] }) {
  const client = useApolloClient();
  const update = useOperation(CategoryUpdateDocument, (d) => d.categoryUpdate);
  const { base, stored, round, version, startFrom, settle } = useEditing(category, sameFields);
  const submit = async (filled: FormData) => {
    const name = textOf(filled, 'name');
    const payload = await update.run({
      id: category.id,
      version,
      name: name === base.name ? undefined : name,
      ...categoryOf(filled, base),
    });
    await settle(payload, payload?.category, async () => {
      const { data } = await client.query({ query: CategoryDetailsDocument, variables: { id: category.id }, fetchPolicy: 'network-only' });
      return data?.category;
    });
    if (payload?.category) {
      await reread().catch(() => {});
    }
    return payload;
  };
  return (
    <section aria-labelledby="edit-title">
      <h2 id="edit-title">{pathOf(category)}</h2>
      <Form label="Change the category" action="Save" operation={update} onSubmit={submit} keep done="Saved.">
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
          <CategoryFields category={base} categories={categories} />
        </div>
      </Form>
    </section>
  );
}

function CategoryDelete({ category, reread }: Props) {
  const remove = useOperation(CategoryDeleteDocument, (d) => d.categoryDelete);
  const ask = useConfirmation();
  const submit = async () => {
    const agreed = await ask({
      title: `Delete “${category.name}”?`,
      text: 'Its products stay, and are in it no longer. Categories beneath it have to be moved or deleted first.',
      action: 'Delete the category',
    });
    if (!agreed) {
      return;
    }
    const payload = await remove.run({ id: category.id });
    if (payload?.deletedCategoryId) {
      await reread().catch(() => {});
      go(hrefOf('categories'));
    }
  };
  return (
    <section aria-labelledby="delete-title">
      <h2 id="delete-title">Delete</h2>
      <div className="row">
        <button type="button" className="secondary" disabled={remove.busy} onClick={() => void submit()}>
          Delete the category
        </button>
      </div>
      <Outcome error={remove.error} payload={remove.payload}>
        It is deleted.
      </Outcome>
    </section>
  );
}
