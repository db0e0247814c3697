import type { CodegenConfig } from '@graphql-codegen/cli';

const types = {
  enumType: 'string-literal',
  useTypeImports: true,
  scalars: { DateTime: 'string', ID: 'string', Int64: 'string', UUID: 'string' },
};

/** The operations of a page with Apollo Client. */
function forApollo(page: string): CodegenConfig['generates'] {
  return {
    [`${page}/gql/operations.ts`]: {
      documents: `${page}/operations.graphql`,
      plugins: ['typescript-operations', 'typed-document-node'],
      config: { ...types, documentMode: 'documentNodeImportFragments' },
    },
  };
}

// Types for the pages' operations. Nothing in their code says by hand what the schema already says.
const config: CodegenConfig = {
  schema: '../graph/schema.graphql',
  generates: {
    ...forApollo('shop'),
    ...forApollo('admin'),
    // The lab sends its few operations as text, without a client that would understand more.
    'lab/gql/operations.ts': {
      documents: 'lab/operations.graphql',
      plugins: ['typescript-operations', 'typed-document-node'],
      config: { ...types, documentMode: 'string' },
    },
    // By which the cache knows that an OutOfStockError is a UserError.
    'common/possibleTypes.ts': { plugins: ['fragment-matcher'] },
  },
};

export default config;
