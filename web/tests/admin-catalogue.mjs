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

/** Variants of a product, and the forms for them. */
async function variants() {
  const variantRows = () => rows('Variants').allInnerTexts();
  await check('a product gets an option and a second variant', async () => {
    const { product } = await change(admin, 'productCreate', 'ProductCreateInput', 'product { id }', {
      idempotencyKey: key(),
      sku: 'MUG-S',
      name: 'Mug',
      price: { amountMinor: '900', currency: 'USD' },
      stock: '3',
    });
    await open('products', product.id);
    await unfold('Add an option');
    const option = form('Add an option');
    await option.getByLabel('Name').fill('Size');
    await option.getByLabel('What the variants have that are here').fill('Small');
    await option.getByRole('button', { name: 'Add' }).click();
    await eventually('the variant', variantRows, (found) => found.length === 1 && /^Small\tMUG-S\t\$9\.00\t3\t/.test(found[0]));
    await unfold('Add a variant');
    const variant = form('Add a variant');
    await variant.getByLabel('SKU').fill('MUG-S');
    await variant.getByLabel('Size').fill('Large');
    await variant.getByLabel('Price').fill('12.50');
    await variant.getByLabel('Stock to begin with').fill('7');
    await variant.getByRole('button', { name: 'Add' }).click();
    await variant.getByText('a product with the SKU "MUG-S" exists').waitFor();
    await accessible('a refused variant');
    await variant.getByLabel('SKU').fill('MUG-L');
    await variant.getByRole('button', { name: 'Add' }).click();
    await told(variant).getByText('It is on sale.').waitFor();
    await eventually('both variants', variantRows, (found) => found.length === 2 && /^Large\tMUG-L\t\$12\.50\t7\t/.test(found[1]));
  });

  await check('a variant is changed, also after somebody else has changed it', async () => {
    await page.getByRole('link', { name: 'Open Large' }).click();
    const edit = form('Change the variant');
    await page.getByRole('heading', { name: 'Change Large' }).waitFor();
    await edit.getByLabel('Price').fill('13');
    const id = new URLSearchParams(new URL(page.url()).hash.split('?')[1]).get('variant');
    const { productVariant } = await admin('query ($id: ID!) { productVariant(id: $id) { version } }', { id });
    await change(admin, 'productVariantUpdate', 'ProductVariantUpdateInput', 'variant { id }', {
      idempotencyKey: key(),
      id,
      version: productVariant.version,
      limitPerCustomer: { quantity: '2', periodHours: 24 },
    });
    await edit.getByRole('button', { name: 'Save' }).click();
    await edit.getByText('Limit: it was “none”, and is “2 in 24 hours” now.').waitFor();
    await accessible('a variant that somebody else has changed');
    await edit.getByRole('button', { name: 'Save' }).click();
    await told(edit).getByText('Saved.').waitFor();
    assert((await edit.getByLabel('At most for each customer').inputValue()) === '2', 'the limit of the other administrator is gone');
    await edit.getByLabel('Size').fill('small');
    await edit.getByRole('button', { name: 'Save' }).click();
    await alerted(edit).getByText('another variant of the product').first().waitFor();
    await edit.getByLabel('Size').fill('Huge');
    await edit.getByRole('button', { name: 'Save' }).click();
    await eventually('the change', variantRows, (found) => /^Huge\tMUG-L\t\$13\.00\t7\t/.test(found[1]));
    await page.getByRole('heading', { name: 'Stock of Huge: 7' }).waitFor();
  });
}

/** The tree of categories. */
async function categories() {
  const paths = () => rows('Categories').locator('td:first-child').allInnerTexts();
  await check('a category is made, moved and deleted', async () => {
    await go('Categories');
    const before = await eventually('categories', paths, (found) => found.includes('Computers › Input devices'));
    await accessible('categories');
    await unfold('Create a category');
    const create = form('Create a category');
    await create.getByLabel('Name').fill('Trackballs');
    await create.getByLabel('Beneath').selectOption({ label: 'Computers › Input devices' });
    await create.getByRole('button', { name: 'Create' }).click();
    await eventually('the new one', paths, (found) => found.includes('Computers › Input devices › Trackballs'));
    await rows('Categories').getByRole('link', { name: 'Computers', exact: true }).click();
    await page.getByRole('heading', { name: 'Computers', level: 2 }).waitFor();
    assert(!(await form('Change the category').getByLabel('Beneath').innerText()).includes('Trackballs'), 'a category may be put beneath itself');
    await page.getByRole('button', { name: 'Delete the category' }).click();
    await agree('Delete the category');
    await alerted().getByText('beneath it').first().waitFor();
    await go('Categories');
    await rows('Categories').getByRole('link', { name: /Trackballs$/ }).click();
    const edit = form('Change the category');
    await edit.getByLabel('Handle').fill('computers');
    await edit.getByRole('button', { name: 'Save' }).click();
    await alerted(edit).getByText('another category has the handle').waitFor();
    await edit.getByLabel('Handle').fill('balls');
    await edit.getByLabel('Name').fill('Balls');
    await edit.getByLabel('Beneath').selectOption('');
    await edit.getByRole('button', { name: 'Save' }).click();
    await told(edit).getByText('Saved.').waitFor();
    await page.getByRole('heading', { name: 'Balls', level: 2 }).waitFor();
    await accessible('a category');
    await page.getByRole('button', { name: 'Delete the category' }).click();
    await agree('Delete the category');
    await page.getByRole('heading', { name: 'Categories', level: 1 }).waitFor();
    await eventually('the tree as it was', paths, (found) => found.join() === before.join());
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
  await variants();
  await categories();
  await faults();
} finally {
  await browser.close();
}
process.exit(browser.failed ? 1 : 0);
