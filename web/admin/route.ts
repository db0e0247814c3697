import { useMemo, useSyncExternalStore } from 'react';

/** Where in the administration somebody is: #view, #view/id, #view?filter=value. It holds no secret: browsers remember addresses. */
export interface Route {
  view: string;
  id: string;
  query: URLSearchParams;
}

function parse(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#/, '').split('?', 2);
  const [view = '', id = ''] = path.split('/', 2);
  return { view, id: decode(id), query: new URLSearchParams(query) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a view, of an object in it, or of a list with filters. Filters that are empty are left out. */
export function hrefOf(view: string, id = '', query: Record<string, string> = {}): string {
  const filters = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ''));
  return `#${view}${id && `/${encodeURIComponent(id)}`}${filters.size > 0 ? `?${filters}` : ''}`;
}

export function go(href: string) {
  window.location.hash = href;
}

export function useRoute(): Route {
  const hash = useSyncExternalStore(onHashChange, () => window.location.hash);
  return useMemo(() => parse(hash), [hash]);
}

function onHashChange(listener: () => void) {
  window.addEventListener('hashchange', listener);
  return () => window.removeEventListener('hashchange', listener);
}
