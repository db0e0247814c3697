import type { Page } from './site';

/** What the server tells the storefront and the administration; see pageConfig in pages.go. */
export interface Config {
  endpoint: string;
  /** A token of the page's demo user, from a development server; empty otherwise. */
  token: string;
  /** The pages that this server serves. */
  pages: Page[];
}

/** Reads the JSON that the server wrote into the page. The defaults serve the development server of Vite. */
export function readConfig(): Config {
  const text = document.getElementById('holdfast-config')?.textContent ?? '{}';
  return { endpoint: '/graphql', token: '', pages: [], ...(JSON.parse(text) as Partial<Config>) };
}
