/** What the server tells the page; see ShopOptions in shop.go. */
export interface Config {
  endpoint: string;
  /** A token of the demo customer, from a development server; empty otherwise. */
  token: string;
}

/** Reads the JSON that the server wrote into the page. The defaults serve the development server of Vite. */
export function readConfig(): Config {
  const text = document.getElementById('holdfast-config')?.textContent ?? '{}';
  return { endpoint: '/graphql', token: '', ...(JSON.parse(text) as Partial<Config>) };
}
