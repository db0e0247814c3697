// Drives the administration in Chromium; see harness.mjs for what it prints.
//
//   node tests/admin.mjs http://127.0.0.1:8080 --admin TOKEN --customer TOKEN [--mode all|locks|production] [--screenshots DIRECTORY]
//
// The server must hold nothing but fresh demo data. Where the script says that it waits, the caller makes a payment of the newest order
// one that needs a person (all), or lets the database go on (locks).
import { join } from 'node:path';

import {
  accessible,
  admin,
  administration,
  agree,
  alerted,
  base,
  browser,
  change,
  check,
  complaints,
  customer,
  dialog,
  fitsOnPhone,
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
  urls,
} from './desk.mjs';
import { assert, desktop, eventually, phone, say } from './harness.mjs';

const views = ['Overview', 'Orders', 'Products', 'Coupons', 'Customers', 'Payments', 'Adjustments', 'System'];

async function signIn() {
  await check('signed out', async () => {
    await page.goto(`${base}/admin`);
    await page.getByRole('heading', { name: 'Sign in', level: 1 }).waitFor();
    assert((await administration.count()) === 0, 'there is something of the administration');
    await accessible('signed out');
  });

  await check('a customer without the role', async () => {
    await signInWith(options.customer);
    await alerted().getByText('without the role ADMIN').waitFor();
    assert((await administration.count()) === 0, 'there is something of the administration');
    await page.goto(`${base}/admin#orders`);
    await alerted().getByText('without the role ADMIN').waitFor();
    assert((await page.getByRole('table').count()) === 0, 'there is a table');
    await accessible('a customer');
    await page.getByRole('button', { name: 'Sign out' }).click();
  });

  await check('a token that is none', async () => {
    await signInWith('no.such.token');
    await alerted().getByText('Your access token is not valid').waitFor();
    complaints.length = 0; // Chromium itself reports the refusal.
    await page.getByRole('button', { name: 'Sign out' }).click();
  });
}

async function demo() {
  await signIn();

  await check('the demo administrator, by one click', async () => {
    await page.goto(`${base}/admin#overview`);
    await page.getByRole('button', { name: 'Continue as the demo administrator' }).click();
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    await page.evaluate(() => {
      window.loadedOnce = true;
    });
  });

  await check('an order is found', async () => {
    const id = await order({
      payment: { method: 'CARD' },
      contact: { name: 'Alice', email: 'alice@shop.example' },
      shippingAddress: { name: 'Alice', lines: ['1 Example Street'], city: 'Springfield', countryCode: 'US' },
    });
    const pending = await order();
    await go('Orders');
    await rows('Orders').filter({ hasText: pending }).waitFor();
    const filters = form('Filter orders');
    const shown = async () => rows('Orders').locator('td:first-child').allInnerTexts();
    await filters.getByLabel('Status').selectOption('Paid');
    await filters.getByLabel('Customer').fill('user_alice');
    await filters.getByRole('button', { name: 'Show' }).click();
    await eventually('paid orders of alice', shown, (ids) => ids.join() === id);
    await page.reload();
    await eventually('the same after a reload', shown, (ids) => ids.join() === id);
    assert((await filters.getByLabel('Status').inputValue()) === 'PAID', 'the filter is not shown after a reload');
    await filters.getByLabel('From', { exact: true }).fill('2020-01-01');
    await filters.getByLabel('To', { exact: true }).fill('2020-01-31');
    await filters.getByRole('button', { name: 'Show' }).click();
    await main.getByText('No order is like that.').waitFor();
    await page.goBack();
    await table('Orders').getByRole('link', { name: id }).click();
    await page.getByRole('heading', { name: 'Order', level: 1 }).waitFor();
    await main.getByText('Alice, alice@shop.example').waitFor();
    await main.getByText('Alice, 1 Example Street, Springfield, US').waitFor();
    await rows('Payment attempts').filter({ hasText: 'captured' }).waitFor();
    await accessible('an order');
  });

  const refundForm = form('Refund an amount');
  const refunds = async () => rows('Refunds and returns').allInnerTexts();

  await check('a refund asks first', async () => {
    await unfold('Refund');
    await refundForm.getByLabel('Amount in USD').fill('3');
    await refundForm.getByLabel('Reason').fill('A scratch');
    await refundForm.getByRole('button', { name: 'Refund' }).click();
    await dialog.getByRole('heading', { name: 'Refund $3.00?' }).waitFor();
    await accessible('the question');
    await agree('Leave it');
    await dialog.waitFor({ state: 'hidden' });
    assert((await refunds()).length === 0, 'it was refunded all the same');
    await refundForm.getByRole('button', { name: 'Refund' }).click();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    assert((await refunds()).length === 0, 'it was refunded all the same');
  });

  await check('a refund whose answer is lost is made once', async () => {
    let asked = 0;
    const keys = new Set();
    await page.route('**/graphql', async (route) => {
      const body = route.request().postDataJSON();
      if (body.operationName !== 'RefundCreate') {
        return route.continue();
      }
      asked++;
      keys.add(body.variables.input.idempotencyKey);
      const response = await route.fetch(); // the server has made it
      return asked === 1 ? route.abort() : route.fulfill({ response });
    });
    await refundForm.getByRole('button', { name: 'Refund' }).click();
    await agree('Refund $3.00');
    await alerted(refundForm).getByText('cannot be reached').waitFor();
    complaints.length = 0; // Chromium itself reports the connection.
    await refundForm.getByRole('button', { name: 'Refund' }).click();
    await agree('Refund $3.00');
    await told(refundForm).getByText('$3.00: refunded.').waitFor();
    await page.unroute('**/graphql');
    assert(asked === 2 && keys.size === 1, `${asked} requests with ${keys.size} keys`);
    const list = await eventually('refunds', refunds, (found) => found.length > 0);
    assert(list.length === 1 && list[0].includes('A scratch'), `refunds: ${list}`);
    assert((await refundForm.getByLabel('Amount in USD').inputValue()) === '', 'the form still holds the refund');
  });

  await check('a refusal stands at its field', async () => {
    await refundForm.getByLabel('Amount in USD').fill('5000');
    await refundForm.getByLabel('Reason').fill('Too much');
    await refundForm.getByRole('button', { name: 'Refund' }).click();
    await agree('Refund $5,000.00');
    const field = refundForm.getByLabel('Amount in USD');
    await eventually('the field', () => field.getAttribute('aria-invalid'), (value) => value === 'true');
    const described = await field.evaluate((e) => e.getAttribute('aria-describedby').split(' ').map((id) => document.getElementById(id).innerText).join(' '));
    assert(/refund/i.test(described), `the field says ${described}`);
    assert(await field.evaluate((e) => e === document.activeElement), 'the field is not focused');
    assert((await refunds()).length === 1, 'it was refunded');
    await accessible('a refusal');
  });

  await check('an order is sent, and taken back', async () => {
    await unfold('Send');
    const send = form('Mark the order as sent');
    await send.getByLabel('Tracking').fill('PARCEL 42');
    await send.getByRole('button', { name: 'Mark as sent' }).click();
    await agree('Mark as sent');
    await main.getByText(/^sent on .*, tracking: PARCEL 42$/).waitFor();
    await unfold('Take back');
    const back = form('Take products back');
    await back.getByLabel('Reason').fill('Not wanted');
    await back.getByRole('button', { name: 'Take back' }).click();
    await alerted(back).getByText('Say how many came back').waitFor();
    await back.getByLabel('How many of USB-C hub').fill('1');
    await back.getByRole('button', { name: 'Take back' }).click();
    await dialog.getByText('They go back into stock. What was paid for them is given back.').waitFor();
    await agree('Take back');
    await told(back).getByText('refunded').waitFor();
    const list = await eventually('refunds', refunds, (found) => found.length === 2);
    assert(list[0].includes('Not wanted') && list[0].includes('put back'), `refunds: ${list}`);
  });

  await check('an order is cancelled', async () => {
    const id = await order();
    await open('orders', id);
    await main.getByText(id).first().waitFor();
    await unfold('Cancel');
    await form('Cancel the order').getByRole('button', { name: 'Cancel the order' }).click();
    await agree('Cancel the order');
    await told(form('Cancel the order')).getByText('Cancelled. What was paid goes back to the customer').waitFor();
    const { order: found } = await admin('query ($id: ID!) { order(id: $id) { status } }', { id });
    assert(found.status === 'CANCELLED', `the order is ${found.status}`);
  });

  let product = '';
  await check('a product is created', async () => {
    await go('Products');
    await rows('Products').filter({ hasText: 'KB-75' }).waitFor();
    await unfold('Create a product');
    const create = form('Create a product');
    const fill = async (sku) => {
      await create.getByLabel('SKU').fill(sku);
      await create.getByLabel('Name').fill('Trackball');
      await create.getByLabel('Price in USD').fill('49.90');
      await create.getByLabel('Stock to begin with').fill('12');
      await create.getByRole('button', { name: 'Create' }).click();
    };
    await fill('KB-75');
    await eventually('the field', () => create.getByLabel('SKU').getAttribute('aria-invalid'), (value) => value === 'true');
    await fill('TB-1');
    await told(create).getByText('“Trackball” is on sale.').waitFor();
    await accessible('a new product');
    await create.getByRole('link', { name: 'Open it' }).click();
    await page.getByRole('heading', { name: 'Trackball', level: 2 }).waitFor();
    product = decodeURIComponent(page.url().split('#products/')[1]);
    await main.getByText('$49.90').first().waitFor();
  });

  await check('products are searched', async () => {
    await go('Products');
    const search = form('Search products');
    await search.getByRole('searchbox').fill('track');
    await search.getByRole('button', { name: 'Show' }).click();
    await eventually('found', () => rows('Products').allInnerTexts(), (found) => found.length === 1 && found[0].includes('TB-1'));
    await table('Products').getByRole('link', { name: 'Trackball' }).click();
    await page.getByRole('heading', { name: 'Trackball', level: 2 }).waitFor();
  });

  await check('an edit against a change of somebody else', async () => {
    const edit = form('Change the product');
    const { product: seen } = await admin('query ($id: ID!) { product(id: $id) { version } }', { id: product });
    await edit.getByLabel('Price in USD').fill('44.00');
    await change(admin, 'productUpdate', 'ProductUpdateInput', 'product { version }', { id: product, version: seen.version, name: 'Trackball XL' });
    await edit.getByRole('button', { name: 'Save' }).click();
    const conflict = page.getByRole('group', { name: 'Changed by somebody else' });
    await conflict.getByText('Name: it was “Trackball”, and is “Trackball XL” now.').waitFor();
    await alerted(edit).getByText('VERSION_CONFLICT').waitFor();
    assert((await edit.getByLabel('Price in USD').inputValue()) === '44.00', 'what was filled in is lost');
    await accessible('a conflict');
    await edit.getByRole('button', { name: 'Save' }).click();
    await told(edit).getByText('Saved.').waitFor();
    const { product: now } = await admin('query ($id: ID!) { product(id: $id) { name price { amountMinor } } }', { id: product });
    assert(now.name === 'Trackball XL' && now.price.amountMinor === '4400', `stored is ${JSON.stringify(now)}`);
    assert((await conflict.count()) === 0, 'the conflict is still shown');
  });

  await check('handle, vendor, tags, images and categories of a product', async () => {
    const edit = form('Change the product');
    await edit.getByLabel('Handle').fill('Big Ball');
    await edit.getByLabel('Images').fill('http://cdn.example.com/1.jpg');
    await edit.getByRole('button', { name: 'Save' }).click();
    for (const field of ['Handle', 'Images']) {
      await eventually(field, () => edit.getByLabel(field).getAttribute('aria-invalid'), (value) => value === 'true');
    }
    await edit.getByLabel('Handle').fill('big-ball');
    await edit.getByLabel('Vendor').fill('Tactile Works');
    await edit.getByLabel('Tags').fill('round, Red ,round');
    await edit.getByLabel('Images').fill('https://cdn.example.com/1.jpg A red ball\nhttps://cdn.example.com/2.jpg');
    await edit.getByLabel('Categories').selectOption(['Computers › Input devices', 'Home']);
    await edit.getByRole('button', { name: 'Save' }).click();
    await told(edit).getByText('Saved.').waitFor();
    await accessible('what a product has');
    const stored = async () => {
      const { product: now } = await admin(
        'query { product(handle: "big-ball") { id vendor tags images { url altText } categories { name } } }', {},
      );
      return JSON.stringify(now);
    };
    const want = JSON.stringify({
      id: product, vendor: 'Tactile Works', tags: ['round', 'Red'],
      images: [{ url: 'https://cdn.example.com/1.jpg', altText: 'A red ball' }, { url: 'https://cdn.example.com/2.jpg', altText: null }],
      categories: [{ name: 'Input devices' }, { name: 'Home' }],
    });
    assert((await stored()) === want, `stored is ${await stored()}, want ${want}`);
    // What is not changed is not sent: the order of tags stays, and the size of an image.
    await edit.getByLabel('Vendor').fill('');
    await edit.getByRole('button', { name: 'Save' }).click();
    await eventually('the vendor to be gone', stored, (now) => now === want.replace('"Tactile Works"', 'null'));
  });

  await check('a product is taken off sale, and put back', async () => {
    await page.getByRole('button', { name: 'Take off sale' }).click();
    await agree('Take off sale');
    await told().getByText('It is off sale.').waitFor();
    await go('Products');
    await rows('Products').filter({ hasText: 'KB-75' }).waitFor();
    assert((await rows('Products').filter({ hasText: 'TB-1' }).count()) === 0, 'it is listed');
    const search = form('Search products');
    await search.getByLabel('Off sale, too').check();
    await search.getByRole('button', { name: 'Show' }).click();
    await rows('Products').filter({ hasText: 'TB-1' }).filter({ hasText: 'archived' }).waitFor();
    await table('Products').getByRole('link', { name: 'Trackball XL' }).click();
    await page.getByRole('button', { name: 'Put back on sale' }).click();
    await told().getByText('It is on sale.').waitFor();
  });

  await check('stock is adjusted once by a double click, and its history shown', async () => {
    const adjust = form('Adjust the stock');
    const history = () => rows('Stock history').allInnerTexts();
    await page.getByRole('heading', { name: 'Stock history' }).waitFor();
    await main.getByText('Nothing has moved it.').waitFor();
    const before = await history();
    await adjust.getByLabel('How many more, or fewer').fill('+7');
    await adjust.getByLabel('Reason').fill('Counted again');
    await adjust.getByRole('button', { name: 'Adjust' }).dblclick();
    await told(adjust).getByText('There are 19 now.').waitFor();
    const lines = await eventually('history', history, (found) => found.length > before.length);
    assert(lines.length === before.length + 1, `a double click made ${lines.length - before.length} lines`);
    assert(/\+7\t19\tCounted again, by user_/.test(lines[0]), `the history begins with ${lines[0]}`);
    await adjust.getByLabel('How many more, or fewer').fill('-2');
    await adjust.getByLabel('Reason').fill('Broken');
    await adjust.getByRole('button', { name: 'Adjust' }).click();
    await agree('Take out of stock');
    await told(adjust).getByText('There are 17 now.').waitFor();
    assert((await page.getByTestId('stock').innerText()) === '17', 'the stock above is another one');
    await adjust.getByLabel('How many more, or fewer').fill('-18');
    await adjust.getByLabel('Reason').fill('More than there is');
    await adjust.getByRole('button', { name: 'Adjust' }).click();
    await agree('Take out of stock');
    await eventually('a refusal', () => adjust.getByRole('alert').allInnerTexts(), (texts) => texts.join('') !== '');
    assert((await page.getByTestId('stock').innerText()) === '17', 'what is not there was taken');
  });

  await check('a coupon is created, stopped and resumed', async () => {
    await go('Coupons');
    await unfold('Create a coupon');
    const create = form('Create a coupon');
    await create.getByLabel('Name').fill('Ten percent');
    await create.getByLabel('Discount').selectOption({ label: 'A share of the sum' });
    await create.getByLabel('Percent').fill('10');
    await create.getByLabel('How many there are').fill('50');
    await create.getByRole('button', { name: 'Create' }).click();
    await told(create).getByText('“Ten percent” is on offer.').waitFor();
    await rows('Coupons').filter({ hasText: 'Ten percent' }).getByText('10 %').waitFor();
    await table('Coupons').getByRole('link', { name: 'Ten percent' }).click();
    await page.getByRole('heading', { name: /^Ten percent/, level: 2 }).waitFor();
    const couponId = decodeURIComponent(page.url().split('#coupons/')[1]);
    const take = async () => {
      const { issueCoupon } = await customer('mutation ($input: IssueCouponInput!) { issueCoupon(input: $input) { userErrors { code } } }', {
        input: { idempotencyKey: key(), couponId },
      });
      return issueCoupon.userErrors.map(({ code }) => code).join();
    };
    await page.getByRole('button', { name: 'Stop the coupon' }).click();
    await agree('Stop the coupon');
    await told().getByText('It is stopped.').waitFor();
    assert((await take()) === 'COUPON_NOT_VALID', 'a customer can take it');
    await accessible('a stopped coupon');
    await page.getByRole('button', { name: 'Resume the coupon' }).click();
    await told().getByText('It is on offer.').waitFor();
    assert((await take()) === '', 'a customer cannot take it');
    await page.reload();
    const edit = form('Change the coupon');
    await edit.getByLabel('Name').fill('Ten percent, today');
    await edit.getByLabel('Valid until').fill('2099-01-01T12:00');
    await edit.getByRole('button', { name: 'Save' }).click();
    await told(edit).getByText('Saved.').waitFor();
    const { coupon } = await admin('query ($id: ID!) { coupon(id: $id) { name validUntil validFrom } }', { id: couponId });
    assert(coupon.name === 'Ten percent, today' && coupon.validUntil?.startsWith('209') && coupon.validFrom === null, JSON.stringify(coupon));
  });

  await check('a customer, with points and accounts corrected', async () => {
    await go('Customers');
    await table('Customers').getByRole('link', { name: 'user_bob' }).click();
    await page.getByRole('heading', { name: 'Bob', level: 2 }).waitFor();
    const points = page.getByRole('heading', { name: /^Points: / });
    const before = await points.innerText();
    await unfold('Correct the points');
    const give = form('Correct the points');
    await give.getByLabel('How many more, or fewer').fill('250');
    await give.getByLabel('Reason').fill('An apology');
    await give.getByRole('button', { name: 'Correct' }).click();
    await agree('Give the points');
    await told(give).getByText('points now.').waitFor();
    assert((await points.innerText()) !== before, `the page still says ${before}`);
    await unfold('Correct the money in an account');
    const money = form('Correct the money in an account');
    await money.getByLabel('How much more, or less in USD').fill('-1.50');
    await money.getByLabel('Reason').fill('A fee');
    await money.getByRole('button', { name: 'Correct' }).click();
    await dialog.getByText('Take $1.50 from the account').waitFor();
    await agree('Take the money');
    await told(money).getByText('now.').waitFor();
    await accessible('a customer');
    await page.getByRole('link', { name: 'All orders of Bob' }).click();
    await page.getByRole('heading', { name: 'Orders', level: 1 }).waitFor();
    await eventually('orders of bob', () => rows('Orders').allInnerTexts(), (found) => found.length > 0 && found.every((row) => row.includes('Bob')));
    await go('Adjustments');
    const listed = await eventually('adjustments', () => rows('Adjustments').allInnerTexts(), (found) => found.length >= 4);
    for (const reason of ['An apology', 'A fee', 'Counted again', 'Broken']) {
      assert(listed.some((row) => row.includes(reason)), `${reason} is not among ${listed}`);
    }
  });

  await check('payments that need a person', async () => {
    await order({ payment: { method: 'CARD' } });
    say({ waiting: true });
    await go('Payments');
    await eventually(
      'unsettled payments',
      async () => {
        await page.getByRole('button', { name: 'Look again' }).click();
        return rows('Unsettled payments').allInnerTexts();
      },
      (found) => found.length === 1 && found[0].includes('failed') && found[0].includes('the gateway does not answer'),
    );
    await accessible('payments');
    await rows('Unsettled payments').getByRole('link').click();
    await page.getByRole('heading', { name: 'Order', level: 1 }).waitFor();
    await rows('Payment attempts').filter({ hasText: 'unknown' }).waitFor();
  });

  await check('the system', async () => {
    await go('System');
    await eventually('strategies', () => rows('Strategies').count(), (n) => n === 4);
    await page.getByRole('button', { name: 'Compare now, and repair' }).click();
    await told().getByText(/^Compared: |^There is nothing to compare/).waitFor();
    await rows('Runs of jobs').filter({ hasText: 'reconcile' }).first().waitFor();
    await main.getByText('None is held or waited for').waitFor();
  });

  await check('what sells, and is about to be sold out', async () => {
    await order({ lines: [{ productId: 'prod_8', quantity: 1 }], payment: { method: 'CARD' } });
    await go('Overview');
    await eventually(
      'low stock',
      async () => {
        await page.getByRole('button', { name: 'Look again' }).click();
        return rows('Low stock').allInnerTexts();
      },
      (found) => found.some((row) => row.includes('FLASH-1')),
    );
    await eventually(
      'sold',
      async () => {
        await page.getByRole('button', { name: 'Look again' }).click();
        return rows('Sold most').allInnerTexts();
      },
      (found) => found.some((row) => row.includes('USB-C hub')),
    );
  });

  await check('what does not exist', async () => {
    for (const [view, id] of [['orders', 'ord_0'], ['products', 'prod_0'], ['coupons', 'coup_0'], ['customers', 'user_nobody']]) {
      await open(view, id);
      await told().getByText(id).waitFor();
    }
    await open('orders', 'nonsense');
    await alerted().filter({ hasText: 'ord_' }).waitFor();
  });

  await check('keyboard only', async () => {
    await go('Overview');
    await page.reload();
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    const reach = async (name) => {
      for (let i = 0; i < 80; i++) {
        await page.keyboard.press('Tab');
        const focused = await page.evaluate(() => {
          const e = document.activeElement;
          const outline = getComputedStyle(e);
          return {
            name: e.getAttribute('aria-label') ?? e.labels?.[0]?.innerText ?? e.innerText ?? '',
            visible: e === document.body || (outline.outlineStyle !== 'none' && parseFloat(outline.outlineWidth) >= 2),
          };
        });
        assert(focused.visible, `the focus on ${focused.name} cannot be seen`);
        if (focused.name.trim().startsWith(name)) {
          return;
        }
      }
      throw new Error(`${name} cannot be reached`);
    };
    await reach('Products');
    await page.keyboard.press('Enter');
    await rows('Products').filter({ hasText: 'LMP-DESK' }).waitFor();
    assert((await page.evaluate(() => document.activeElement.innerText)) === 'Products', 'the focus is not at the heading');
    await reach('Desk lamp');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Desk lamp', level: 2 }).waitFor();
    await reach('Take off sale');
    await page.keyboard.press('Enter');
    await dialog.waitFor();
    for (let i = 0; i < 6; i++) {
      await page.keyboard.press('Tab');
      const outside = await page.evaluate(() => {
        const e = document.activeElement;
        return e !== document.body && !e.closest('dialog') ? e.outerHTML : '';
      });
      assert(outside === '', `the focus leaves the question, to ${outside}`);
    }
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    assert((await page.evaluate(() => document.activeElement.innerText)) === 'Take off sale', 'the focus does not come back');
  });

  await check('phone', async () => {
    await page.setViewportSize(phone);
    for (const view of views) {
      await go(view);
      await fitsOnPhone(view);
      await accessible(`${view} on a phone`);
    }
    for (const [view, id] of [['products', product], ['customers', 'user_alice'], ['coupons', 'coup_half']]) {
      await open(view, id);
      await page.getByRole('heading', { level: 2 }).first().waitFor();
      await fitsOnPhone(id);
    }
    await page.setViewportSize(desktop);
  });

  for (const colorScheme of ['light', 'dark']) {
    await check(`axe, ${colorScheme}`, async () => {
      await page.emulateMedia({ colorScheme });
      const [red] = (await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/g);
      assert(colorScheme === 'dark' ? red < 60 : red > 200, `${colorScheme}: the background's red is ${red}`);
      for (const view of views) {
        await go(view);
        for (const summary of await main.locator('summary').all()) {
          await summary.click();
        }
        await accessible(view);
      }
    });
  }
  await page.emulateMedia({ colorScheme: 'light' });

  await check('pages link to each other', async () => {
    const pages = { Playground: '/', Shop: '/shop', Administration: '/admin', Lab: '/lab' };
    const links = page.getByRole('navigation', { name: 'Pages of holdfast' });
    for (const [from, path] of Object.entries(pages)) {
      await page.goto(base + path);
      const found = await eventually(
        from,
        () => links.getByRole('link').evaluateAll((all) => all.map((a) => `${a.innerText} ${a.getAttribute('href')} ${a.getAttribute('aria-current')}`)),
        (all) => all.length > 0,
      );
      const want = Object.entries(pages).map(([title, href]) => `${title} ${href} ${href === path ? 'page' : null}`);
      assert(found.join() === want.join(), `${from} links to ${found}`);
    }
    for (const title of Object.keys(pages)) {
      await links.getByRole('link', { name: title, exact: true }).click();
      await page.waitForURL(base + pages[title]);
    }
    complaints.length = 0; // Monaco's workers are cut off when their page is left.
  });

  await check('no token in any address', async () => {
    const found = urls.filter((url) => url.includes('eyJ'));
    assert(urls.length > 50 && found.length === 0, `${urls.length} addresses, with a token: ${found}`);
  });
}

/** Under the strategy PUBSUB, on a server whose database does not go on until this script has said that it waits. */
async function locks() {
  await check('locks and those who wait for them', async () => {
    await page.goto(`${base}/admin#system`);
    await signInWith(options.admin);
    const orders = [order(), order()];
    const held = await eventually(
      'locks',
      async () => {
        await page.getByRole('button', { name: 'Look again' }).click();
        return rows('Locks').allInnerTexts();
      },
      (found) => found.some((row) => row.includes('prod_6')),
    );
    assert(held.some((row) => /\d/.test(row)), `the locks are ${held}`);
    await accessible('locks');
    say({ waiting: true });
    await Promise.all(orders);
    await eventually(
      'no locks',
      async () => {
        await page.getByRole('button', { name: 'Look again' }).click();
        return rows('Locks').count();
      },
      (n) => n === 0,
    );
  });
}

/** Where no token comes with the page. */
async function production() {
  await signIn();
  await check('production', async () => {
    await page.goto(`${base}/admin`);
    assert((await page.getByRole('button').count()) === 1, 'there is another way in than a token');
    await signInWith(`Bearer ${options.admin}`);
    await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
    const links = page.getByRole('navigation', { name: 'Pages of holdfast' }).getByRole('link');
    assert((await links.allInnerTexts()).join() === 'Shop,Administration', `links to ${await links.allInnerTexts()}`);
  });
}

async function screenshots() {
  await page.goto(`${base}/admin#orders`);
  await signInWith(options.admin);
  for (const productId of ['prod_6', 'prod_1', 'prod_3']) {
    await order({ lines: [{ productId, quantity: 1 }], payment: { method: 'CARD' } });
  }
  const id = await order({
    payment: { method: 'CARD' },
    contact: { name: 'Alice', email: 'alice@shop.example' },
    shippingAddress: { name: 'Alice', lines: ['1 Example Street'], city: 'Springfield', countryCode: 'US' },
  });
  for (const [name, colorScheme, viewport, view] of [
    ['admin', 'light', { width: 1000, height: 640 }, 'orders'],
    ['admin-phone', 'light', phone, `orders/${id}`],
  ]) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    await page.goto(`${base}/admin#${view}`);
    await page.reload();
    await main.getByText(id).first().waitFor();
    await page.screenshot({ path: join(options.screenshots, `${name}.png`) });
  }
}

try {
  if (options.screenshots) {
    await screenshots();
  } else {
    await { all: demo, locks, production }[options.mode]();
  }
} finally {
  await browser.close();
}
process.exit(browser.failed ? 1 : 0);
