import type { Page } from '../common/site';

/** One prepared operation. The server has already filled in the headers. */
export interface Tab {
  query: string;
  variables: string;
  headers: string;
}

/** What the server tells the page; see PlaygroundOptions in web.go. */
export interface Config {
  endpoint: string;
  subscriptionEndpoint: string;
  headers: Record<string, string>;
  tabs: Tab[];
  title: string;
  /** The pages that this server serves. */
  pages: Page[];
  /** Changes whenever tabs or headers do. */
  namespace: string;
}

const defaults: Config = {
  endpoint: '/graphql',
  subscriptionEndpoint: '/graphql',
  headers: {},
  tabs: [],
  title: 'holdfast',
  pages: [],
  namespace: 'default',
};

/** Reads the JSON that the server wrote into the page. The defaults serve the development server of Vite. */
export function readConfig(): Config {
  const text = document.getElementById('holdfast-config')?.textContent ?? '{}';
  return { ...defaults, ...(JSON.parse(text) as Partial<Config>) };
}
