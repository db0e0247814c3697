import { useState } from 'react';

import { Failure, Outcome } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { CategoryFields, categoryOf } from './CategoryFields';
import { pathOf, useCategories } from './categoryTree';
import { useConfirmation } from './Confirmation';
import { Conflict } from './Conflict';
import { Form, textOf } from './Form';
import { CategoryDeleteDocument, type CategoryRowFragment, CategoryUpdateDocument } from './gql/operations';
import { Refresh } from './Refresh';
import { go, hrefOf } from './route';

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
          <CategoryEdit category={category} reread={refetch} />
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

/** Changes a category from the version that was shown, as ProductEdit does a product. */
function CategoryEdit({ category, reread }: Props) {
  const update = useOperation(CategoryUpdateDocument, (d) => d.categoryUpdate);
  const [base, setBase] = useState(category);
  const [conflict, setConflict] = useState(false);
  const [round, setRound] = useState(0);
  const startFrom = (row: CategoryRowFragment) => {
    setBase(row);
    setConflict(false);
    setRound((n) => n + 1);
  };
  const submit = async (filled: FormData) => {
    const name = textOf(filled, 'name');
    const payload = await update.run({
      id: category.id,
      version: (conflict ? category : base).version,
      name: name === base.name ? undefined : name,
      ...categoryOf(filled, base),
    });
    if (payload?.userErrors.some((e) => e.code === 'VERSION_CONFLICT')) {
      await reread().catch(() => {});
      setConflict(true);
    } else if (payload?.category && payload.userErrors.length === 0) {
      startFrom(payload.category);
      await reread().catch(() => {});
    }
    return payload;
  };
  return (
    <section aria-labelledby="edit-title">
      <h2 id="edit-title">{pathOf(category)}</h2>
      <Form label="Change the category" action="Save" operation={update} onSubmit={submit} keep done="Saved.">
        {conflict && (
          <Conflict
            differences={[
              ['Name', base.name, category.name],
              ['Handle', base.handle, category.handle],
              ['Path', pathOf(base), pathOf(category)],
              ['Position', String(base.position), String(category.position)],
            ]}
            onTake={() => {
              startFrom(category);
              update.reset();
            }}
          />
        )}
        <div key={round} className="stack">
          <CategoryFields category={base} />
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
