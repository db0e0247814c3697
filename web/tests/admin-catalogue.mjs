// Keeps the catalogue in the administration: variants, categories, and where they are named; see desk.mjs for what it takes, and
// harness.mjs for what it prints.
//
//   node tests/admin-catalogue.mjs http://127.0.0.1:8080 --admin TOKEN --customer TOKEN
//
// The server must hold nothing but fresh demo data: prod_9 is a T-shirt, var_9b its variant S / White, var_9c M / Black.
import {
  accessible,
  admin,
  agree,
  alerted,
  base,
  browser,
  change,
  check,
  complaints,
  customer,
  form,
  go,
  key,
  main,
  open,
  options,
  order,
  page,
  rows,
  signInWith,
  table,
  told,
  unfold,
} from './desk.mjs';
import { assert, eventually } from './harness.mjs';

const graphql = '**/graphql';

const adjust = (variantId, delta, reason) =>
  change(admin, 'stockAdjust', 'StockAdjustInput', 'variant { id }', { idempotencyKey: key(), variantId, delta: String(delta), reason });

const stockOf = async (id) => (await admin('query ($id: ID!) { productVariant(id: $id) { stock { available } } }', { id })).productVariant.stock.available;

/** Where variants are named. */
async function names() {
  await check('an order of two variants of one product, and one that came back', async () => {
    await page.goto(`${base}/admin#overview`);
    await signInWith(options.admin);
    const id = await order({
      payment: { method: 'CARD' },
      lines: [
        { variantId: 'var_9b', quantity: 2 },
        { variantId: 'var_9c', quantity: 1 },
      ],
    });
    await change(admin, 'orderFulfil', 'OrderFulfilInput', 'order { id }', { idempotencyKey: key(), orderId: id });
    await open('orders', id);
    const lines = () => rows('Products of the order').allInnerTexts();
    const shown = await eventually('lines', lines, (found) => found.length === 2);
    assert(/^TS-S-White\tT-shirt, S \/ White\t2\t0/.test(shown[0]) && /^TS-M-Black\tT-shirt, M \/ Black\t1\t0/.test(shown[1]), `the lines are ${shown}`);
    const [white, black] = [await stockOf('var_9b'), await stockOf('var_9c')];
    await unfold('Take back');
    const back = form('Take products back');
    await back.getByLabel('How many of T-shirt, M / Black (TS-M-Black)').fill('1');
    await back.getByLabel('Reason').fill('Too wide');
    await back.getByRole('button', { name: 'Take back' }).click();
    await agree('Take back');
    await told(back).getByText('refunded').waitFor();
    await eventually('what came back', lines, (found) => /\t2\t0\t/.test(found[0]) && /\t1\t1\t/.test(found[1]));
    assert((await stockOf('var_9b')) === white, 'the other variant went back into stock');
    assert(Number(await stockOf('var_9c')) === Number(black) + 1, 'the variant did not go back into stock');
    await accessible('an order of variants');
    await table('Products of the order').getByRole('link', { name: 'T-shirt, M / Black' }).click();
    await page.getByRole('heading', { name: /^Stock of M \/ Black: / }).waitFor();
  });

  await check('a variant that is about to be sold out, and its long history', async () => {
    const left = Number(await stockOf('var_9b'));
    for (let i = 0; i < 21; i++) {
      await adjust('var_9b', i === 20 ? 20 - left + 1 : -1, `Step ${i}`);
    }
    await go('Overview');
    const low = rows('Low stock').filter({ hasText: 'TS-S-White' });
    await eventually(
      'low stock',
      async () => {
        await page.getByRole('button', { name: 'Look again' }).click();
        return low.allInnerTexts();
      },
      (found) => found.length === 1 && /^TS-S-White\tT-shirt, S \/ White\t1\t/.test(found[0]),
    );
    await low.getByRole('link').click();
    await page.getByRole('heading', { name: 'Stock of S / White: 1' }).waitFor();
    const history = () => rows('Stock history').allInnerTexts();
    await eventually('history', history, (found) => found.length === 20);
    await page.getByRole('button', { name: 'Show more history' }).click();
    const all = await eventually('more history', history, (found) => found.length > 20);
    assert(all[0].includes('Step 20') && all[20].includes('Step 0') && all[21].includes('ord_'), `the history is ${all.join('; ')}`);
    await adjust('var_9b', 39, 'Back again');
  });

  await check('what is held for a customer names the variant', async () => {
    const { hold } = await change(customer, 'holdCreate', 'HoldCreateInput', 'hold { id }', {
      idempotencyKey: key(),
      lines: [{ variantId: 'var_9c', quantity: 3 }],
      ttlSeconds: 300,
    });
    await open('customers', 'user_alice');
    await rows('Holds').filter({ hasText: hold.id }).getByText('3 × T-shirt, M / Black').waitFor();
    await go('Adjustments');
    await rows('Adjustments').filter({ hasText: 'Back again' }).getByRole('link', { name: 'prod_9' }).click();
    await page.getByRole('heading', { name: /^Stock of S \/ White: / }).waitFor();
  });
}

/** What goes wrong, and how one goes on. */
async function faults() {
  await check('a view that cannot be shown', async () => {
    await go('Overview');
    let broken = true;
    await page.route(graphql, async (route) => {
      if (!broken || route.request().postDataJSON().operationName !== 'Coupons') {
        return route.continue();
      }
      const response = await route.fetch();
      const answer = await response.json();
      answer.data.coupons.edges[0].node.validFrom = 'someday';
      return route.fulfill({ response, json: answer });
    });
    await page.getByRole('navigation', { name: 'Administration' }).getByRole('link', { name: 'Coupons' }).click();
    await alerted().getByText('This cannot be shown').waitFor();
    await accessible('a fault');
    const told = complaints.splice(0); // React tells of it
    assert(told.some((complaint) => complaint.includes('Invalid time value')), `the complaints are ${told}`);
    await alerted().getByRole('link', { name: 'Go to the overview' }).click();
    await page.getByRole('heading', { name: 'Low stock' }).waitFor();
    await page.goBack();
    await alerted().getByText('This cannot be shown').waitFor();
    complaints.length = 0; // the fault, once more
    broken = false;
    await page.getByRole('button', { name: 'Load the page again' }).click();
    await rows('Coupons').first().waitFor();
    assert((await alerted().count()) === 0, 'the fault is still told of');
    await page.unroute(graphql);
  });

  for (const view of ['Orders', 'Products', 'Coupons', 'Customers', 'Adjustments']) {
    await check(`${view}, once they can be read again`, async () => {
      await page.goto(`${base}/admin#overview`);
      await page.reload();
      await page.getByRole('heading', { name: 'Low stock' }).waitFor();
      await page.route(graphql, (route) => route.abort());
      await go(view);
      await alerted().getByText('cannot be reached').first().waitFor();
      await page.unroute(graphql);
      complaints.length = 0; // Chromium itself reports the connection.
      await page.getByRole('button', { name: 'Look again' }).click();
      await rows(view).first().waitFor();
      await eventually('the error', () => alerted().count(), (n) => n === 0);
    });
  }

  await check('what did not exist', async () => {
    await open('orders', 'ord_0');
    await told().getByText('There is no order ord_0.').waitFor();
    await page.getByRole('button', { name: 'Look again' }).click();
    await told().getByText(/^As of /).waitFor();
  });
}

try {
  await names();
  await faults();
} finally {
  await browser.close();
}
process.exit(browser.failed ? 1 : 0);
