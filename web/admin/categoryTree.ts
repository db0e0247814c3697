import { useEffect } from 'react';

import { CategoriesDocument, type CategoryRowFragment } from './gql/operations';
import { useView } from './useView';

/** A category with those above it, such as "Computers › Input devices". */
export const pathOf = (category: CategoryRowFragment) => [...(category.ancestors ?? []), category].map((c) => c.name).join(' › ');

/** All categories, each before those beneath it. There are 2,000 at most, which are read a hundred at a time. */
export function useCategories() {
  const { data, error, loading, fetchMore, refetch } = useView(CategoriesDocument, {});
  const { hasNextPage, endCursor } = data?.categories?.pageInfo ?? {};
  useEffect(() => {
    if (hasNextPage) {
      fetchMore({ variables: { after: endCursor } }).catch(() => {}); // those that are there are shown
    }
  }, [fetchMore, hasNextPage, endCursor]);
  return { categories: data?.categories?.edges.map((edge) => edge.node), error, loading: loading && !data, refetch };
}
