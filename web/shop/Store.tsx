import { type ComponentType, useSyncExternalStore } from 'react';

import { Boundary } from '../common/Boundary';
import { Pages } from '../common/Pages';
import type { Page } from '../common/site';
import { useHeadingFocus } from '../common/useHeadingFocus';
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

export function Store({ pages, onSignOut }: { pages: readonly Page[]; onSignOut: () => void }) {
  const hash = useSyncExternalStore(onHashChange, () => window.location.hash);
  const current = hash in views ? hash : '#products';
  const { title, View } = views[current];
  const heading = useHeadingFocus(current, `${title} – holdfast shop`);
  const purchase = usePurchaseState();
  return (
    <PurchaseContext value={purchase}>
      <header>
        <Pages pages={pages} />
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
        <Boundary key={current} home={{ href: '#products', title: 'Go to the products' }}>
          <View />
        </Boundary>
      </main>
    </PurchaseContext>
  );
}

function onHashChange(listener: () => void) {
  window.addEventListener('hashchange', listener);
  return () => window.removeEventListener('hashchange', listener);
}
