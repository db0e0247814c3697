import type { CodegenConfig } from '@graphql-codegen/cli';

// Types for the pages' operations. Nothing in their code says by hand what the schema already says.
const config: CodegenConfig = {
  schema: '../graph/schema.graphql',
  generates: {
    'shop/gql/operations.ts': {
      documents: 'shop/operations.graphql',
      plugins: ['typescript-operations', 'typed-document-node'],
      config: {
        enumType: 'string-literal',
        useTypeImports: true,
        documentMode: 'documentNodeImportFragments',
        scalars: {
          DateTime: 'string',
          ID: 'string',
          Int64: 'string',
          UUID: 'string',
        },
      },
    },
    // The lab sends its few operations as text, without a client that would understand more.
    'lab/gql/operations.ts': {
      documents: 'lab/operations.graphql',
      plugins: ['typescript-operations', 'typed-document-node'],
      config: {
        enumType: 'string-literal',
        useTypeImports: true,
        documentMode: 'string',
        scalars: {
          DateTime: 'string',
          ID: 'string',
          Int64: 'string',
          UUID: 'string',
        },
      },
    },
    // By which the cache knows that an OutOfStockError is a UserError.
    'shop/gql/possibleTypes.ts': { plugins: ['fragment-matcher'] },
  },
};

export default config;
