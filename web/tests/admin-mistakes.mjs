// Does in the administration what goes wrong: addresses that were cut off, answers that were lost, a view that is left before a question
// was answered; see desk.mjs for what it takes, and harness.mjs for what it prints.
//
//   node tests/admin-mistakes.mjs http://127.0.0.1:8080 --admin TOKEN --customer TOKEN
//
// The server must hold nothing but fresh demo data.
import {
  admin,
  agree,
  alerted,
  base,
  browser as desk,
  change,
  complaints,
  customer,
  dialog,
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
  told,
  unfold,
} from './desk.mjs';
import { assert, eventually } from './harness.mjs';

const graphql = '**/graphql';
const operationOf = (route) => route.request().postDataJSON().operationName;

/** A check that begins at the overview, whatever the one before has left. */
const check = (what, run) =>
  desk.check(what, async () => {
    await page.unroute(graphql);
    await page.goto('about:blank');
    await page.goto(`${base}/admin#overview`);
    await run();
  });
const heading = (name, level = 1) => page.getByRole('heading', { name, level }).waitFor();

async function mistakes() {
  await check('the server cannot be reached', async () => {
    await page.goto(`${base}/admin#overview`);
    await page.route(graphql, (route) => route.abort());
    await signInWith(options.admin);
    await alerted().getByText('cannot be reached').waitFor();
    const refused = await page.getByRole('heading', { name: 'Not for you' }).count();
    await page.unroute(graphql);
    await page.getByRole('button', { name: 'Try again' }).click();
    await heading('Overview');
    complaints.length = 0; // Chromium itself reports the connection.
    assert(refused === 0, 'it says that the administrator is none');
  });

  await check('what is being read', async () => {
    await heading('Overview');
    let goOn;
    const released = new Promise((resolve) => {
      goOn = resolve;
    });
    await page.route(graphql, async (route) => {
      await released;
      await route.continue();
    });
    await go('Coupons');
    await told().getByText('Loading').waitFor();
    goOn();
    await rows('Coupons').first().waitFor();
    await page.unroute(graphql);
    assert((await told().getByText('Loading').count()) === 0, 'it is still being read');
  });

  await check('addresses without a meaning', async () => {
    for (const [address, title] of [
      ['constructor', 'Overview'],
      ['orders?from=yesterday&until=2026-13-77', 'Orders'],
      ['orders?until=275760-09-13', 'Orders'],
      ['customers?from=x', 'Customers'],
    ]) {
      await page.goto(`${base}/admin#${address}`);
      await page.reload();
      await heading(title);
    }
    await page.goto(`${base}/admin#orders?from=yesterday`);
    await main.getByRole('status').filter({ hasText: /orders$/ }).waitFor();
  });

  await check('a question goes with the view that asked it', async () => {
    await go('Products');
    await open('products', 'prod_6');
    await page.getByRole('button', { name: 'Take off sale' }).click();
    await dialog.waitFor();
    await page.goBack();
    await heading('Products');
    await dialog.waitFor({ state: 'hidden' });
    const { product } = await admin('{ product(id: "prod_6") { archivedAt } }');
    assert(product.archivedAt === null, 'it was taken off sale');
  });

  await check('what one has changed oneself is no conflict', async () => {
    await open('products', 'prod_6');
    await page.getByRole('button', { name: 'Take off sale' }).click();
    await agree('Take off sale');
    await page.getByRole('button', { name: 'Put back on sale' }).click();
    await told().getByText('It is on sale.').waitFor();
    await form('Change the product').getByLabel('Name').fill('USB-C hub, grey');
    await form('Change the product').getByRole('button', { name: 'Save' }).click();
    await told(form('Change the product')).getByText('Saved.').waitFor();
    await open('coupons', 'coup_half');
    await page.getByRole('button', { name: 'Stop the coupon' }).click();
    await agree('Stop the coupon');
    await told().getByText('It is stopped.').waitFor();
    await form('Change the coupon').getByLabel('Name').fill('Half, later');
    await form('Change the coupon').getByRole('button', { name: 'Save' }).click();
    await told(form('Change the coupon')).getByText('Saved.').waitFor();
  });

  await check('a lost answer, another amount, and the first amount again', async () => {
    await open('orders', await order({ payment: { method: 'CARD' } }));
    await unfold('Refund');
    const keys = [];
    await page.route(graphql, async (route) => {
      if (operationOf(route) !== 'RefundCreate') {
        return route.continue();
      }
      keys.push(route.request().postDataJSON().variables.input.idempotencyKey);
      return route.abort();
    });
    const refund = form('Refund an amount');
    await refund.getByLabel('Reason').fill('A scratch');
    for (const amount of ['3', '4', '3']) {
      const asked = keys.length;
      await refund.getByLabel('Amount in USD').fill(amount);
      await refund.getByRole('button', { name: 'Refund' }).click();
      await agree(`Refund $${amount}.00`);
      await eventually('a request', () => keys.length, (n) => n > asked);
      await alerted(refund).getByText('may have been carried out').waitFor();
    }
    await page.unroute(graphql);
    complaints.length = 0; // Chromium itself reports the connections.
    assert(keys[0] === keys[2] && keys[0] !== keys[1], `the keys are ${keys}`);
  });

  await check('a form that was used once', async () => {
    await go('Coupons');
    await unfold('Create a coupon');
    const coupon = form('Create a coupon');
    await coupon.getByLabel('Name').fill('Five percent');
    await coupon.getByLabel('Discount').selectOption('PERCENT');
    await coupon.getByLabel('Percent').fill('5');
    await coupon.getByLabel('How many there are').fill('50');
    await coupon.getByRole('button', { name: 'Create' }).click();
    await told(coupon).getByText('“Five percent” is on offer.').waitFor();
    const kind = await coupon.getByLabel('Discount').inputValue();
    assert((await coupon.getByLabel('Percent').count()) === (kind === 'PERCENT' ? 1 : 0), `the discount is ${kind}, and the field is another one`);

    const { account } = await change(customer, 'accountOpen', 'AccountOpenInput', 'account { id }', { idempotencyKey: key(), name: 'Savings', currency: 'JPY' });
    const second = account.id;
    await open('customers', 'user_alice');
    await unfold('Correct the money in an account');
    const money = form('Correct the money in an account');
    await money.getByLabel('Account').selectOption(second);
    await money.getByLabel('How much more, or less in JPY').fill('100');
    await money.getByLabel('Reason').fill('An apology');
    await money.getByRole('button', { name: 'Correct' }).click();
    await dialog.getByText('Add ¥100 to the account Savings?').waitFor();
    await agree('Add the money');
    await told(money).getByText('There are ¥100 now.').waitFor();
    const shown = await eventually('the form', () => money.getByLabel('Reason').inputValue(), (text) => text === '').then(() =>
      money.getByLabel('Account').inputValue(),
    );
    await money.getByLabel('How much more, or less in').fill('1');
    await money.getByLabel('Reason').fill('Once more');
    await money.getByRole('button', { name: 'Correct' }).click();
    await dialog.getByText(shown).waitFor();
    await agree('Leave it');
  });

  await check('a product that was created is listed', async () => {
    await go('Products');
    await unfold('Create a product');
    const create = form('Create a product');
    await create.getByLabel('SKU').fill('BOLD-1');
    await create.getByLabel('Name').fill('<b onclick="x">Bold</b> & “more”');
    await create.getByLabel('Price in USD').fill('1,5');
    await create.getByRole('button', { name: 'Create' }).click();
    await told(create).getByText('is on sale').waitFor();
    await rows('Products').filter({ hasText: 'BOLD-1' }).getByText('<b onclick="x">Bold</b> & “more”').waitFor();
    await rows('Products').filter({ hasText: 'BOLD-1' }).getByText('$1.50').waitFor();
  });

  await check('what is held for a customer is released', async () => {
    const { hold } = await change(customer, 'holdCreate', 'HoldCreateInput', 'hold { id }', {
      idempotencyKey: key(),
      lines: [{ productId: 'prod_1', quantity: 2 }],
      ttlSeconds: 300,
    });
    await open('products', 'prod_1');
    await rows('Stock history').getByText(hold.id).waitFor();
    await open('customers', 'user_alice');
    const held = rows('Holds').filter({ hasText: hold.id });
    await held.getByText('2 × ').waitFor();
    await held.getByRole('button', { name: 'Release' }).click();
    await agree('Release the hold');
    await told().getByText('Released.').waitFor();
    await held.waitFor({ state: 'detached' });
    const { hold: now } = await admin('query ($id: ID!) { hold(id: $id) { status } }', { id: hold.id });
    assert(now.status === 'RELEASED', `the hold is ${now.status}`);
  });
}

try {
  await mistakes();
} finally {
  await desk.close();
}
process.exit(desk.failed ? 1 : 0);
