import { useQuery } from '@apollo/client/react';

import { CategoriesDocument, type CategoriesQuery } from './gql/operations';

type Category = NonNullable<CategoriesQuery['categories']>['nodes'][number];

interface Props {
  current?: string | null;
  onChoose: (categoryId?: string) => void;
}

/** The way into the categories: those at the top, and those beneath the ones that lead to the current one. */
export function Categories({ current, onChoose }: Props) {
  const { data } = useQuery(CategoriesDocument, { errorPolicy: 'all' });
  const all = data?.categories?.nodes ?? [];
  if (all.length === 0) {
    return null;
  }
  const open = pathTo(all, current);
  const children = (parent?: string) => all.filter((category) => category.parent?.id === parent);
  const list = (parent?: string) => (
    <ul>
      {parent === undefined && (
        <li>
          <Choice name="All products" isCurrent={!current} onChoose={() => onChoose(undefined)} />
        </li>
      )}
      {children(parent).map((category) => (
        <li key={category.id}>
          <Choice name={category.name} isCurrent={category.id === current} onChoose={() => onChoose(category.id)} />
          {open.includes(category.id) && children(category.id).length > 0 && list(category.id)}
        </li>
      ))}
    </ul>
  );
  return (
    <nav aria-label="Categories" className="categories">
      {list()}
    </nav>
  );
}

function Choice({ name, isCurrent, onChoose }: { name: string; isCurrent: boolean; onChoose: () => void }) {
  return (
    <button type="button" className="link" aria-current={isCurrent ? 'true' : undefined} onClick={onChoose}>
      {name}
    </button>
  );
}

/** The categories from the top to one. */
function pathTo(all: readonly Category[], id?: string | null): string[] {
  const path: string[] = [];
  for (let at = all.find((c) => c.id === id); at && !path.includes(at.id); ) {
    path.push(at.id);
    const above = at.parent?.id;
    at = all.find((c) => c.id === above);
  }
  return path;
}
