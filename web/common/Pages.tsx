import { type Page, pagesLabel } from './site';

/** Links to the pages that this server serves. It is not there if there is no other page. */
export function Pages({ pages }: { pages: readonly Page[] }) {
  return (
    pages.length > 1 && (
      <nav aria-label={pagesLabel} className="pages">
        <ul>
          {pages.map(({ title, path }) => (
            <li key={path}>
              <a href={path} aria-current={path === window.location.pathname ? 'page' : undefined}>
                {title}
              </a>
            </li>
          ))}
        </ul>
      </nav>
    )
  );
}
