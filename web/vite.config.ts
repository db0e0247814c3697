import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  // Every page shares /assets/, whatever path it is served at.
  base: '/',
  resolve: {
    alias: [
      // monaco-graphql asks for all of Monaco; this is the half that the Playground uses.
      { find: 'monaco-editor/esm/vs/editor/edcore.main.js', replacement: here('playground/monaco.js') },
      // "Prettify" for JSON, without the half megabyte of a JavaScript parser and printer.
      { find: /^prettier\/(parser-babel|plugins\/estree)$/, replacement: here('playground/prettier-json.js') },
      // The deprecated name of the same plugin: without the alias it is bundled twice.
      { find: 'prettier/parser-graphql', replacement: 'prettier/plugins/graphql' },
    ],
  },
  server: {
    // For `npm run dev`: a running holdfast.
    proxy: { '/graphql': { target: process.env.HOLDFAST_URL ?? 'http://127.0.0.1:8080', ws: true } },
  },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    sourcemap: false,
    // Nothing becomes a data: URL, so that the Content-Security-Policy can stay strict.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 4096,
    // The notices that the licences of the bundled packages ask to pass on.
    license: { fileName: 'licenses.md' },
    rolldownOptions: {
      // "use client" means nothing where there is no server rendering; hundreds of warnings would say so.
      checks: { moduleLevelDirective: false },
      // One entry per page; the Go package `web` embeds the result.
      input: { playground: here('playground/index.html') },
    },
  },
});
