import type { Tab } from './config';

const prefix = 'holdfast:playground:';
const tabsKey = 'graphiql:tabState';
const themeKey = 'graphiql:theme';

export interface PlaygroundStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
  clear(): void;
  readonly length: number;
}

/**
 * A corner of localStorage for this set of tabs and headers, and the removal of all earlier ones: GraphiQL restores
 * stored tabs in place of the prepared ones, so that without this a new release's tabs would never show, and the token
 * of an earlier server would be sent for ever. The theme alone outlives a namespace.
 */
export function openStorage(namespace: string): PlaygroundStorage {
  const own = `${prefix}${namespace}:`;
  const theme = `${prefix}theme`;
  const place = (key: string) => (key === themeKey ? theme : own + key);
  const keys = () => Object.keys(localStorage).filter((key) => key.startsWith(prefix));

  for (const key of keys()) {
    if (key !== theme && !key.startsWith(own)) {
      localStorage.removeItem(key);
    }
  }

  return {
    getItem: (key) => localStorage.getItem(place(key)),
    setItem: (key, value) => localStorage.setItem(place(key), value),
    removeItem: (key) => localStorage.removeItem(place(key)),
    clear: () => keys().forEach((key) => localStorage.removeItem(key)),
    get length() {
      return keys().length;
    },
  };
}

/**
 * The tab that the editors start with: GraphiQL itself fills them from the last edit, which on a first visit, or after a
 * reload without an edit, leaves variables and headers of the active tab empty, or opens a second tab for them.
 */
export function activeTab(storage: PlaygroundStorage, prepared: Tab[]): Partial<Tab> | undefined {
  const stored = storage.getItem(tabsKey);
  if (stored === null) {
    return prepared[0];
  }
  try {
    const { tabs, activeTabIndex } = JSON.parse(stored) as { tabs: Partial<Tab>[]; activeTabIndex: number };
    return tabs[activeTabIndex];
  } catch {
    return prepared[0]; // As GraphiQL does with what it cannot read.
  }
}
