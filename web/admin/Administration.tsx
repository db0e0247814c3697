import type { ComponentType, MouseEvent } from 'react';

import { Boundary } from '../common/Boundary';
import { Pages } from '../common/Pages';
import type { Page } from '../common/site';
import { useHeadingFocus } from '../common/useHeadingFocus';
import { Adjustments } from './Adjustments';
import { Categories } from './Categories';
import { Category } from './Category';
import { Confirmation } from './Confirmation';
import { Coupon } from './Coupon';
import { Coupons } from './Coupons';
import { Customer } from './Customer';
import { Customers } from './Customers';
import { type Currency, CurrencyContext } from './fields';
import { Order } from './Order';
import { Orders } from './Orders';
import { Overview } from './Overview';
import { Payments } from './Payments';
import { Product } from './Product';
import { Products } from './Products';
import { hrefOf, useRoute } from './route';
import { System } from './System';

interface View {
  title: string;
  List: ComponentType<{ query: URLSearchParams }>;
  /** What shows one object of the list. */
  one?: { title: string; Details: ComponentType<{ id: string }> };
}

const views: Record<string, View> = {
  overview: { title: 'Overview', List: Overview },
  orders: { title: 'Orders', List: Orders, one: { title: 'Order', Details: Order } },
  products: { title: 'Products', List: Products, one: { title: 'Product', Details: Product } },
  categories: { title: 'Categories', List: Categories, one: { title: 'Category', Details: Category } },
  coupons: { title: 'Coupons', List: Coupons, one: { title: 'Coupon', Details: Coupon } },
  customers: { title: 'Customers', List: Customers, one: { title: 'Customer', Details: Customer } },
  payments: { title: 'Payments', List: Payments },
  adjustments: { title: 'Adjustments', List: Adjustments },
  system: { title: 'System', List: System },
};

interface Props {
  pages: readonly Page[];
  user: string;
  currency: Currency;
  simulated: boolean;
  onSignOut: () => void;
}

/** The administration, for those who may have it. */
export function Administration({ pages, user, currency, simulated, onSignOut }: Props) {
  const { view, id, query } = useRoute();
  const current = Object.hasOwn(views, view) ? view : 'overview';
  const { title, List, one } = views[current];
  const Details = id ? one?.Details : undefined;
  const shown = Details && one ? one.title : title;
  const heading = useHeadingFocus(`${current}/${id}`, `${shown} – holdfast administration`);
  return (
    <CurrencyContext value={currency}>
      <div onClickCapture={ignoreDoubleClicks}>
        <Confirmation>
          <header>
            <Pages pages={pages} />
            <p className="brand">holdfast administration</p>
            <nav aria-label="Administration">
              <ul>
                {Object.entries(views).map(([name, { title: link }]) => (
                  <li key={name}>
                    <a href={hrefOf(name)} aria-current={name === current ? (Details ? 'true' : 'page') : undefined}>
                      {link}
                    </a>
                  </li>
                ))}
              </ul>
            </nav>
            <p className="quiet">{user}</p>
            <button type="button" className="secondary" onClick={onSignOut}>
              Sign out
            </button>
          </header>
          <main>
            <h1 ref={heading} tabIndex={-1}>
              {shown}
            </h1>
            {simulated && <p className="quiet">Card payments are simulated: no money is taken or given back.</p>}
            <Boundary key={`${current}/${id}`} home={{ href: hrefOf('overview'), title: 'Go to the overview' }}>
              {Details ? <Details key={id} id={id} /> : <List query={query} />}
            </Boundary>
          </main>
        </Confirmation>
      </div>
    </CurrencyContext>
  );
}

/** The second click of a double click would do once more what the first one has done already, if that was quick. */
function ignoreDoubleClicks(event: MouseEvent) {
  if (event.detail > 1 && event.target instanceof Element && event.target.closest('button')) {
    event.preventDefault();
    event.stopPropagation();
  }
}
