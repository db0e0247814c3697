// Runs GraphQL Code Generator over the printed schema, as the storefront and as most projects configure it (the client
// preset), and fails on a warning, on types that do not compile, and where the storefront's committed types are old.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { generate, loadContext } from '@graphql-codegen/cli';

const web = fileURLToPath(new URL('../..', import.meta.url));
process.chdir(web);

const warnings = [];
for (const level of ['warn', 'error']) {
  console[level] = (...words) => warnings.push(words.join(' '));
}
process.on('warning', (warning) => warnings.push(String(warning)));

// The generator reports its progress on stdout, which is for the results here.
const print = process.stdout.write.bind(process.stdout);
process.stdout.write = (text) => {
  if (/warn|⚠/i.test(String(text))) {
    warnings.push(String(text));
  }
  return true;
};

async function storefront() {
  const context = await loadContext('codegen.ts');
  for (const { filename, content } of await generate(context, false)) {
    assert.equal(await readFile(filename, 'utf8'), content, `${filename} is old: npm run generate`);
  }
}

async function preset() {
  // Below web, so that the compiler finds what the generated files import.
  const directory = await mkdtemp(join(web, 'node_modules', '.holdfast-codegen-'));
  try {
    const files = await generate(
      {
        schema: '../graph/schema.graphql',
        documents: 'shop/operations.graphql',
        generates: { [`${directory}/gql/`]: { preset: 'client', config: { enumsAsTypes: true } } },
      },
      false,
    );
    for (const { filename, content } of files) {
      await mkdir(dirname(filename), { recursive: true });
      await writeFile(filename, content);
    }
    await writeFile(
      join(directory, 'use.ts'),
      `import type { ResultOf } from '@graphql-typed-document-node/core';
       import { PlaceOrderDocument } from './gql/graphql';
       type Payload = NonNullable<ResultOf<typeof PlaceOrderDocument>['placeOrder']>;
       export const first = (payload: Payload) => payload.userErrors[0];
       // @ts-expect-error: there is no such field
       export const wrong = (payload: Payload) => payload.nothing;`,
    );
    await promisify(execFile)('node_modules/.bin/tsc', [
      '--noEmit', '--strict', '--module', 'ESNext', '--moduleResolution', 'bundler', '--target', 'ES2022',
      '--ignoreConfig', join(directory, 'use.ts'),
    ]).catch((error) => assert.fail(error.stdout || error.message));
  } finally {
    await rm(directory, { recursive: true });
  }
}

let failed = false;
for (const [name, run] of Object.entries({ storefront, preset })) {
  let error = null;
  try {
    await run();
    assert.deepEqual(warnings.splice(0), []);
  } catch (e) {
    error = e.message;
    failed = true;
  }
  print(`${JSON.stringify({ check: name, error })}\n`);
}
process.exit(failed ? 1 : 0);
