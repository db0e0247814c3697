import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// A build of its own, after that of vite.config.ts, into the same dist: pages built together share chunks, and the shop
// would load what only GraphiQL needs. The shop and the administration share React and Apollo Client.
export default defineConfig({
  base: '/',
  build: {
    outDir: 'dist',
    emptyOutDir: false,
    sourcemap: false,
    // Nothing becomes a data: URL, so that the Content-Security-Policy can stay strict.
    assetsInlineLimit: 0,
    license: { fileName: 'shop/licenses.md' },
    rolldownOptions: {
      checks: { moduleLevelDirective: false },
      // What the pages share is named after them, not after one of its modules.
      output: { chunkFileNames: 'assets/apps-[hash].js' },
      input: { shop: here('shop/index.html'), admin: here('admin/index.html') },
    },
  },
});
