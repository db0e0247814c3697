import { useEffect, useRef } from 'react';

/**
 * Names the document after the current view. Who goes to another view by keyboard or screen reader starts at its heading, as on a
 * page that was loaded.
 */
export function useHeadingFocus(current: string, title: string) {
  const heading = useRef<HTMLHeadingElement>(null);
  const shown = useRef(current);
  useEffect(() => {
    document.title = title;
    if (shown.current !== current) {
      shown.current = current;
      heading.current?.focus();
    }
  }, [current, title]);
  return heading;
}
