import { Failure } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { CategoryFields, categoryOf } from './CategoryFields';
import { pathOf, useCategories } from './categoryTree';
import { Form, textOf } from './Form';
import { CategoryCreateDocument, type CategoryRowFragment } from './gql/operations';
import { Table } from './List';
import { Refresh } from './Refresh';
import { hrefOf } from './route';

/** The tree of categories. */
export function Categories() {
  const { categories, error, loading, refetch } = useCategories();
  return (
    <>
      <Refresh refetch={refetch} />
      <Failure error={error} loading={loading} />
      <Table label="Categories" head={['Category', 'Handle', 'Position']} empty="There is none yet.">
        {categories?.map((category) => (
          <tr key={category.id}>
            <td>
              <a href={hrefOf('categories', category.id)}>{pathOf(category)}</a>
            </td>
            <td>{category.handle}</td>
            <td className="figure">{category.position}</td>
          </tr>
        ))}
      </Table>
      <section aria-labelledby="new-title">
        <h2 id="new-title">More categories</h2>
        <details>
          <summary>Create a category</summary>
          <CategoryCreate categories={categories} onCreated={() => void refetch().catch(() => {})} />
        </details>
      </section>
    </>
  );
}

function CategoryCreate({ categories, onCreated }: { categories?: readonly CategoryRowFragment[]; onCreated: () => void }) {
  const create = useOperation(CategoryCreateDocument, (d) => d.categoryCreate);
  const submit = async (filled: FormData) => {
    const payload = await create.run({ name: textOf(filled, 'name'), ...categoryOf(filled) });
    if (payload?.category) {
      onCreated();
    }
    return payload;
  };
  const made = create.payload?.category;
  return (
    <Form
      label="Create a category"
      action="Create"
      operation={create}
      onSubmit={submit}
      done={made && <>“{made.name}” is in the menu. <a href={hrefOf('categories', made.id)}>Open it</a></>}
    >
      <CategoryFields categories={categories} />
    </Form>
  );
}
