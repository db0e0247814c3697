import type { OperationVariables, TypedDocumentNode } from '@apollo/client';
import { useQuery } from '@apollo/client/react';

/**
 * Reads what a view shows. What others have changed since is looked up whenever a view is opened, and what can be read is shown, also if
 * something else of it cannot.
 */
export function useView<Data, V extends OperationVariables>(document: TypedDocumentNode<Data, V>, variables: V) {
  return useQuery(document as TypedDocumentNode<Data, OperationVariables>, {
    variables,
    errorPolicy: 'all',
    fetchPolicy: 'cache-and-network',
    nextFetchPolicy: 'cache-first',
  });
}
