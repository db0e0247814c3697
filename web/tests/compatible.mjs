// Compares the printed schema with the baseline, which is that of the last release, and fails if a client of the baseline would break: a type, a
// field, an argument or a value is gone, or has another type. What is only dangerous, such as another default, is told on the standard error.
//
//   node tests/compatible.mjs [BASELINE [SCHEMA]]
import { readFile } from 'node:fs/promises';

import { CriticalityLevel, diff } from '@graphql-inspector/core';
import { buildSchema } from 'graphql';

const read = async (path) => buildSchema(await readFile(path, 'utf8'));
const [baseline = '../graph/baseline.graphql', schema = '../graph/schema.graphql'] = process.argv.slice(2);

const before = await read(baseline);
const deprecations = new Map(
  Object.values(before.getTypeMap()).flatMap((type) =>
    'getFields' in type ? Object.values(type.getFields()).map((field) => [`${type.name}.${field.name}`, field.deprecationReason ?? '']) : [],
  ),
);
// A field that was deprecated in the baseline may be gone when its day has come.
const due = ({ path }) => {
  const day = /removed after (\d{4}-\d{2}-\d{2})/.exec(deprecations.get(path) ?? '')?.[1];
  return day !== undefined && day < new Date().toISOString().slice(0, 10);
};
const changes = await diff(before, await read(schema));
const breaking = changes.filter((change) => change.criticality.level === CriticalityLevel.Breaking && !due(change));
for (const { message } of changes.filter((change) => change.criticality.level === CriticalityLevel.Dangerous)) {
  console.error(`dangerous: ${message}`);
}
const told = breaking.map(({ message, path }) => `breaking: ${message} (${path})`);
console.error(told.join('\n'));
console.log(JSON.stringify({ check: 'no client of the last release breaks', error: told.length > 0 ? told.join('\n') : null }));
process.exitCode = breaking.length > 0 ? 1 : 0;
