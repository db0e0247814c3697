import { type ComponentType, useEffect, useRef, useSyncExternalStore } from 'react';

import { Coupons } from './Coupons';
import { Orders } from './Orders';
import { Points } from './Points';
import { Products } from './Products';
import { PurchaseContext, usePurchaseState } from './purchase';
import { Ticket } from './Ticket';
import { Transfer } from './Transfer';

const views: Record<string, { title: string; View: ComponentType }> = {
  '#products': { title: 'Products', View: Products },
  '#coupons': { title: 'Coupons', View: Coupons },
  '#points': { title: 'Points', View: Points },
  '#transfer': { title: 'Transfer', View: Transfer },
  '#orders': { title: 'Orders', View: Orders },
};

export function Store({ onSignOut }: { onSignOut: () => void }) {
  const hash = useSyncExternalStore(onHashChange, () => window.location.hash);
  const current = hash in views ? hash : '#products';
  const { title, View } = views[current];
  const heading = useHeadingFocus(current, title);
  const purchase = usePurchaseState();
  return (
    <PurchaseContext value={purchase}>
      <header>
        <p className="brand">holdfast shop</p>
        <nav aria-label="Shop">
          <ul>
            {Object.entries(views).map(([link, view]) => (
              <li key={link}>
                <a href={link} aria-current={link === current ? 'page' : undefined}>
                  {view.title}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <button type="button" className="secondary" onClick={onSignOut}>
          Sign out
        </button>
      </header>
      <main>
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {purchase.ticketId && <Ticket key={purchase.ticketId} id={purchase.ticketId} />}
        <View />
      </main>
    </PurchaseContext>
  );
}

function onHashChange(listener: () => void) {
  window.addEventListener('hashchange', listener);
  return () => window.removeEventListener('hashchange', listener);
}

/** Who goes to another view by keyboard or screen reader starts at its heading, as on a page that was loaded. */
function useHeadingFocus(current: string, title: string) {
  const heading = useRef<HTMLHeadingElement>(null);
  const shown = useRef(current);
  useEffect(() => {
    document.title = `${title} – holdfast shop`;
    if (shown.current !== current) {
      shown.current = current;
      heading.current?.focus();
    }
  }, [current, title]);
  return heading;
}
