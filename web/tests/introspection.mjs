// Prints the introspection of testdata/schema.graphql, for the fake server of the browser test:
//
//   node tests/introspection.mjs > testdata/introspection.json
import { readFileSync } from 'node:fs';

import { buildSchema, introspectionFromSchema } from 'graphql';

const schema = buildSchema(readFileSync(new URL('../testdata/schema.graphql', import.meta.url), 'utf8'));
console.log(JSON.stringify({ data: introspectionFromSchema(schema) }));
