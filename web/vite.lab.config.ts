import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// A build of its own into the same dist, as vite.apps.config.ts is, and for the same reason.
export default defineConfig({
  base: '/',
  build: {
    outDir: 'dist',
    emptyOutDir: false,
    sourcemap: false,
    // Nothing becomes a data: URL, so that the Content-Security-Policy can stay strict.
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: { lab: here('lab/index.html') },
    },
  },
});
