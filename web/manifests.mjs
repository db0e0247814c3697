// Writes what each page sends as a persisted query manifest, letter for letter: dist/<page>/operations.json, which a server whose
// safelist serves nothing else takes beside the shop's own manifest. Run after the build: it reads the generated documents.
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';

import { InMemoryCache } from '@apollo/client';
import { Kind, parse, print } from 'graphql';
import { createServer } from 'vite';

const vite = await createServer({ configFile: false, logLevel: 'error', server: { middlewareMode: true }, optimizeDeps: { noDiscovery: true } });
// Apollo Client asks for __typename wherever its cache needs it.
const cache = new InMemoryCache();
const textOf = (document) => (document.kind === Kind.DOCUMENT ? print(cache.transformDocument(document)) : document.toString());

for (const page of ['shop', 'admin', 'lab']) {
  const generated = await vite.ssrLoadModule(`/${page}/gql/operations.ts`);
  const operations = Object.values(generated)
    .filter((value) => typeof value === 'object') // and no class
    .map(textOf)
    .flatMap((body) => {
      const operation = parse(body).definitions.find((definition) => definition.kind === Kind.OPERATION_DEFINITION);
      if (!operation) {
        return []; // a fragment, which is in the documents that use it
      }
      const id = createHash('sha256').update(body).digest('hex');
      return [{ id, name: operation.name.value, type: operation.operation, body }];
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const manifest = { format: 'apollo-persisted-query-manifest', version: 1, operations };
  await writeFile(new URL(`dist/${page}/operations.json`, import.meta.url), `${JSON.stringify(manifest, null, 1)}\n`);
}
await vite.close();
