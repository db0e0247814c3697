import { type FormEvent, type ReactNode, useEffect, useRef } from 'react';

import { formatCount } from '../common/money';
import { go, hrefOf } from './route';

/** How many a list shows at a time. */
export const pageSize = 20;

interface TableProps {
  label: string;
  head: readonly string[];
  /** One row each. */
  children: readonly ReactNode[] | undefined;
  /** What to say if there are none. */
  empty: string;
}

/** A table that scrolls by itself where the screen is narrower. */
export function Table({ label, head, children, empty }: TableProps) {
  if (!children) {
    return null; // not read yet, or not to be read: the view says why
  }
  if (children.length === 0) {
    return <p className="quiet">{empty}</p>;
  }
  return (
    <div className="scroll" role="group" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {head.map((title) => (
              <th key={title} scope="col">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

interface FilterProps {
  view: string;
  label: string;
  query: URLSearchParams;
  children: ReactNode;
}

/** The filters of a list. They are part of its address, so that a filtered list can be linked to and gone back to. */
export function Filters({ view, label, query, children }: FilterProps) {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    for (const field of form.current?.elements ?? []) {
      if (field instanceof HTMLInputElement && field.type === 'checkbox') {
        field.checked = query.has(field.name);
      } else if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) {
        field.value = query.get(field.name) ?? '';
      }
    }
  }, [query]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const filled = [...new FormData(form.current ?? undefined)].map(([name, value]) => [name, String(value).trim()]);
    go(hrefOf(view, '', Object.fromEntries(filled) as Record<string, string>));
  };
  return (
    <search>
      <form ref={form} className="row filters" aria-label={label} onSubmit={submit}>
        {children}
        <button type="submit">Show</button>
      </form>
    </search>
  );
}

interface SelectProps {
  label: string;
  name: string;
  /** What can be chosen, by value. */
  options: Record<string, string>;
}

/** A filter to choose from. The value "" is chosen first. */
export function Select({ label, name, options }: SelectProps) {
  return (
    <label className="field">
      <span>{label}</span>
      <select name={name}>
        {Object.entries(options).map(([value, title]) => (
          <option key={value} value={value}>
            {title}
          </option>
        ))}
      </select>
    </label>
  );
}

/** How many there are. */
export function Total({ total, what }: { total?: { count: number; precision: string } | null; what: string }) {
  return (
    <p role="status" className="quiet">
      {total && `${total.precision === 'AT_LEAST' ? 'More than ' : ''}${formatCount(String(total.count))} ${what}`}
    </p>
  );
}

/** What an enum value means to people: REQUIRES_ACTION is "requires action". */
export const words = (value: string) => value.toLowerCase().replaceAll('_', ' ');

/** A status, in a colour that says whether all is well. */
export function Badge({ status }: { status: string }) {
  return <span className={`badge ${status.toLowerCase()}`}>{words(status)}</span>;
}

/**
 * A day of a filter as the beginning of that day, or of the one after it, in the time zone of the browser. What is no such day, in
 * an address that was changed by hand, filters nothing.
 */
export function dayStart(day: string | null, later = 0): string | undefined {
  const start = new Date(`${day}T00:00`);
  if (!day || !/^\d{4}-\d\d-\d\d$/.test(day) || Number.isNaN(start.getTime())) {
    return undefined;
  }
  start.setDate(start.getDate() + later);
  return start.toISOString();
}
