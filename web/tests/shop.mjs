// Drives the storefront in Chromium and prints one line of JSON a check, {"check": name, "error": what is wrong or null}.
//
//   node tests/shop.mjs http://127.0.0.1:8080 --admin TOKEN [--mode all|ticket|production] [--screenshots DIRECTORY]
//
// The server must hold nothing but fresh demo data (production: examples/products.csv). CHROMIUM names the browser's executable.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: {
    admin: { type: 'string' },
    mode: { type: 'string', default: 'all' },
    screenshots: { type: 'string' },
  },
});
const [base] = positionals;
if (!base || !options.admin) {
  console.error('usage: node tests/shop.mjs BASE_URL --admin TOKEN [--mode all|ticket|production] [--screenshots DIRECTORY]');
  process.exit(2);
}

const patience = 120_000;
const desktop = { width: 1200, height: 860 };
const phone = { width: 360, height: 740 };
const views = ['Products', 'Coupons', 'Points', 'Transfer', 'Orders'];

const profile = await mkdtemp(join(tmpdir(), 'holdfast-shop-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  headless: true,
  viewport: desktop,
  reducedMotion: 'reduce',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
});
context.setDefaultTimeout(patience);
const close = async () => {
  await context.close().catch(() => {});
  await rm(profile, { recursive: true, force: true, maxRetries: 3 });
};
process.once('SIGTERM', () => void close().finally(() => process.exit(1)));

const page = context.pages()[0] ?? (await context.newPage());
const complaints = [];
watch(page);

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
let failed = false;
async function check(name, run) {
  let error = null;
  try {
    await run();
    if (complaints.length > 0) {
      error = complaints.splice(0).join('; ');
    }
  } catch (e) {
    error = [e.message, ...complaints.splice(0)].join('; ');
  }
  failed ||= error !== null;
  say({ check: name, error });
}

/** A page that complains, breaks its Content-Security-Policy, or asks another host has a defect, whatever it shows. */
function watch(p) {
  p.on('pageerror', (error) => complaints.push(`page error: ${error.message}`));
  p.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) {
      complaints.push(`console: ${message.text()} (${message.location().url})`);
    }
  });
  p.on('request', (request) => {
    const url = new URL(request.url());
    if (['http:', 'https:', 'ws:', 'wss:'].includes(url.protocol) && url.host !== new URL(base).host) {
      complaints.push(`a request to ${url.host}`);
    }
  });
}

async function api(token, query, variables) {
  const response = await fetch(`${base}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) {
    throw new Error(JSON.stringify(errors));
  }
  return data;
}

async function adjustStock(productId, delta) {
  const { stockAdjust } = await api(
    options.admin,
    'mutation ($input: StockAdjustInput!) { stockAdjust(input: $input) { userErrors { message } } }',
    { input: { idempotencyKey: crypto.randomUUID(), productId, delta: String(delta) } },
  );
  assert(stockAdjust.userErrors.length === 0, JSON.stringify(stockAdjust.userErrors));
}

async function changeProduct(sku, change) {
  const { products } = await api(options.admin, '{ products(first: 100) { nodes { id sku version } } }');
  const { id, version } = products.nodes.find((product) => product.sku === sku);
  const { productUpdate } = await api(
    options.admin,
    'mutation ($input: ProductUpdateInput!) { productUpdate(input: $input) { userErrors { message } } }',
    { input: { id, version, ...change } },
  );
  assert(productUpdate.userErrors.length === 0, JSON.stringify(productUpdate.userErrors));
}

const setPrice = (sku, amountMinor) => changeProduct(sku, { priceMinor: String(amountMinor) });
const setImages = (sku, images) => changeProduct(sku, { images });

function assert(condition, message) {
  if (!condition) {
    throw new Error(message);
  }
}

async function eventually(what, read, accept) {
  const deadline = Date.now() + patience;
  for (;;) {
    const seen = await read();
    if (accept(seen)) {
      return seen;
    }
    assert(Date.now() < deadline, `${what}: still ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const main = page.getByRole('main');
const basket = page.getByRole('region', { name: 'Basket' });
const numberOf = (text) => Number(text.replace(/[^0-9.-]/g, ''));
const stock = (sku) => page.locator(`[data-sku="${sku}"]`);
const stockOf = async (sku) => numberOf(await stock(sku).innerText());
const addToBasket = (name) => page.getByRole('button', { name: `Add ${name} to the basket` });
const placeOrder = basket.getByRole('button', { name: 'Place order' });
const told = (where = main) => where.getByRole('status').filter({ hasText: /\S/ });
const alerted = (where = main) => where.getByRole('alert').filter({ hasText: /\S/ });

async function open() {
  await page.goto(`${base}/shop`);
  await addToBasket('Silent mouse').waitFor();
}

async function go(view) {
  await page.getByRole('link', { name: view, exact: true }).click();
  await page.getByRole('heading', { name: view, level: 1 }).waitFor();
}

async function accessible(what) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(' | ')}`);
  assert(found.length === 0, `${what}: ${found.join('; ')}`);
}

async function shop() {
  await check('browse', async () => {
    await open();
    const names = await page.getByRole('article').getByRole('heading').allInnerTexts();
    assert(names.length === 9 && names.join() === [...names].sort().join(), `products: ${names}`);
    assert((await page.title()) === 'Products – holdfast shop', `title: ${await page.title()}`);
    assert((await stockOf('HP-X2')) === 100, 'headphones are not 100');
    await main.getByText('$129.00').waitFor();
    await page.evaluate(() => {
      window.loadedOnce = true;
    });
  });

  await check('search', async () => {
    const box = page.getByRole('searchbox', { name: 'Search products' });
    const names = async () => (await page.getByRole('article').getByRole('heading').allInnerTexts()).join();
    await box.fill('KÉYB mech');
    await eventually('search', names, (found) => found === 'Mechanical keyboard');
    await accessible('search');
    await box.fill('🦀');
    await main.getByText('No product has words that begin like “🦀”.').waitFor();
    await box.fill('%');
    await alerted(main).getByText('must have a letter').waitFor();
    await box.fill('');
    await eventually('all products', names, (found) => found.split(',').length === 9);
  });

  await check('categories, vendors and tags', async () => {
    const names = async () => (await page.getByRole('article').getByRole('heading').allInnerTexts()).sort().join();
    const categories = page.getByRole('navigation', { name: 'Categories' });
    await categories.getByRole('button', { name: 'Computers' }).click();
    const computers = '27 inch monitor,Flash sale console,Mechanical keyboard,Silent mouse,USB-C hub';
    await eventually('a category with those beneath it', names, (found) => found === computers);
    await categories.getByRole('button', { name: 'Input devices' }).click();
    await eventually('one beneath it', names, (found) => found === 'Mechanical keyboard,Silent mouse');
    await page.getByRole('button', { name: 'Only tagged wireless' }).click();
    await eventually('a tag within a category', names, (found) => found === 'Silent mouse');
    await accessible('categories');
    await page.getByRole('button', { name: 'Not only tagged wireless' }).click();
    await categories.getByRole('button', { name: 'All products' }).click();
    await eventually('all products', names, (found) => found.split(',').length === 9);
    await page.getByRole('button', { name: 'Only from Hertz Audio' }).first().click();
    await eventually('a vendor', names, (found) => found === 'Flash sale console,Headphones');
    await page.getByRole('button', { name: 'Not only from Hertz Audio' }).click();
    await eventually('all products', names, (found) => found.split(',').length === 9);
  });

  await check('pictures', async () => {
    const cdn = 'https://cdn.example.com';
    await page.route(`${cdn}/**`, (route) =>
      route.request().url().includes('gone')
        ? route.fulfill({ status: 404 })
        : route.fulfill({ contentType: 'image/svg+xml', body: '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="100"><rect width="900" height="100"/></svg>' }),
    );
    await setImages('KB-75', [{ url: `${cdn}/keyboard.svg`, altText: 'A keyboard with round keys' }]);
    await setImages('MS-01', [{ url: `${cdn}/gone.svg`, altText: 'A mouse' }]);
    await page.reload();
    const picture = page.getByRole('img', { name: 'A keyboard with round keys' });
    await eventually('the picture', () => picture.evaluate((img) => img.naturalWidth), (width) => width === 900);
    assert((await picture.getAttribute('loading')) === 'lazy', 'the picture is loaded before it is seen');
    const card = (name) => page.getByRole('article').filter({ hasText: name }).locator('.picture');
    await eventually('the place of a picture that is gone', () => card('Silent mouse').innerText(), (text) => text === 'S');
    for (const name of ['Mechanical keyboard', 'Silent mouse', 'Headphones']) {
      const { width, height } = await card(name).boundingBox();
      assert(Math.abs(width / height - 4 / 3) < 0.02, `the place of ${name} has ${width} × ${height}`);
    }
    await accessible('pictures');
    const unexpected = complaints.splice(0).filter((complaint) => !complaint.includes('cdn.example.com'));
    assert(unexpected.length === 0, unexpected.join('; '));
    await setImages('KB-75', []);
    await setImages('MS-01', []);
    await page.unroute(`${cdn}/**`);
    await page.reload();
    await stock('KB-75').waitFor();
    await page.evaluate(() => {
      window.loadedOnce = true;
    });
  });

  await check('order', async () => {
    const before = await stockOf('MS-01');
    await addToBasket('Silent mouse').click();
    await addToBasket('Silent mouse').click();
    await basket.getByText('Total: $48.00').waitFor();
    await placeOrder.click();
    await told(basket).getByText('Order placed and paid: $48.00').waitFor();
    await eventually('stock', () => stockOf('MS-01'), (n) => n === before - 2);
    await basket.getByText('Nothing yet.').waitFor();
  });

  await check('the last one', async () => {
    await addToBasket('Flash sale console').click();
    await placeOrder.click();
    await told(basket).getByText('placed and paid: $199.00').waitFor();
    await stock('FLASH-1').getByText('Sold out').waitFor();
    assert(await addToBasket('Flash sale console').isDisabled(), 'what is sold out can be added');
  });

  await check('a variant of a product', async () => {
    await page.getByRole('button', { name: 'Choose options of T-shirt' }).click();
    const card = page.getByRole('article').filter({ has: page.getByRole('heading', { name: 'T-shirt' }) });
    const pick = (option, value) => card.getByRole('group', { name: option }).getByRole('radio', { name: value, exact: true }).check();
    await card.getByRole('radio', { name: 'White' }).waitFor();
    assert(await card.getByRole('radio', { name: 'White' }).isChecked(), 'the first variant that is left is not chosen');
    await pick('Size', 'L');
    await card.getByText('$21.00').waitFor();
    await eventually('stock', () => stockOf('TS-L-White'), (n) => n === 120);
    await pick('Colour', 'Black');
    await pick('Size', 'S');
    await stock('TS-S-Black').getByText('Sold out').waitFor();
    assert(await addToBasket('T-shirt, S / Black').isDisabled(), 'a variant that is sold out can be added');
    await pick('Colour', 'White');
    await pick('Size', 'L');
    await addToBasket('T-shirt, L / White').click();
    await basket.getByLabel('Quantity of T-shirt, L / White').waitFor();
    await basket.getByText('Total: $21.00').waitFor();
    await basket.getByRole('button', { name: 'Remove T-shirt, L / White' }).click();
    await basket.getByText('Nothing yet.').waitFor();
  });

  await check('out of stock', async () => {
    await addToBasket('Desk lamp').click();
    await basket.getByLabel('Quantity of Desk lamp').fill('500');
    await placeOrder.click();
    await alerted(basket).getByText('OUT_OF_STOCK').waitFor();
    await basket.getByRole('button', { name: 'Remove Desk lamp' }).click();
  });

  await check('a price that changes is agreed to first', async () => {
    await addToBasket('Silent mouse').click();
    await setPrice('MS-01', 2450);
    await placeOrder.click();
    await alerted(basket).getByText('the order costs 24.50 USD, not 24.00 USD').waitFor();
    await basket.getByText('Total: $24.50').waitFor();
    await placeOrder.click();
    await told(basket).getByText('placed and paid: $24.50').waitFor();
    await setPrice('MS-01', 2400);
  });

  await check('stock changes without reload', async () => {
    await main.getByText('Stock is live.').waitFor();
    await adjustStock('prod_3', 7);
    await eventually('stock', () => stockOf('HP-X2'), (n) => n === 107);
    assert(await page.evaluate(() => window.loadedOnce), 'the page was loaded again');
  });

  await check('coupon', async () => {
    await go('Coupons');
    const held = page.getByRole('list', { name: 'Your coupons' }).getByRole('listitem');
    await main.getByText('2 of 1,000 taken').waitFor();
    const before = await held.count();
    await page.getByRole('button', { name: 'Take Half price, ten only' }).click();
    await told().getByText('You have taken “Half price, ten only”.').waitFor();
    await main.getByText('1 of 10 taken').waitFor();
    assert((await held.count()) === before + 1, 'the coupon is not among yours');
    await page.getByRole('button', { name: 'Take Half price, ten only' }).click();
    await alerted().getByText('COUPON_ALREADY_ISSUED').waitFor();

    await go('Products');
    await addToBasket('Webcam 4K').click();
    await go('Points');
    await go('Products'); // The basket is still there.
    await basket.getByLabel('Coupon').selectOption({ label: 'Half price, ten only' });
    await basket.getByText('Total: $39.50').waitFor();
    await placeOrder.click();
    await told(basket).getByText('placed and paid: $39.50').waitFor();
    await eventually('coupons to spend', () => basket.getByLabel('Coupon').innerText(), (t) => !t.includes('Half price'));
    await go('Coupons');
    await held.filter({ hasText: 'Half price, ten only' }).getByText('spent').waitFor();
  });

  await check('points', async () => {
    await go('Points');
    const balance = page.getByTestId('points');
    const before = numberOf(await balance.innerText());
    await page.getByLabel('Points to add').fill('1234');
    await page.getByRole('button', { name: 'Add points' }).click();
    await told().getByText('Points added.').waitFor();
    await eventually('balance', async () => numberOf(await balance.innerText()), (n) => n === before + 1234);
    const newest = page.getByRole('list', { name: 'Journal' }).getByRole('listitem').first();
    assert((await newest.innerText()).includes('+1,234'), `the journal begins with ${await newest.innerText()}`);
  });

  await check('transfer', async () => {
    await go('Transfer');
    const balance = page.getByTestId('acct_alice');
    const before = numberOf(await balance.innerText());
    const send = async (to, amount) => {
      await page.getByLabel('To account').fill(to);
      await page.getByLabel('Amount in USD').fill(amount);
      await page.getByRole('button', { name: 'Transfer' }).click();
    };
    await send('acct_bob', '12.50');
    await told().getByText('$12.50 went to acct_bob.').waitFor();
    await eventually('balance', async () => numberOf(await balance.innerText()), (n) => n === before - 12.5);
    await send('acct_nobody', '1');
    await alerted().getByText('NOT_FOUND').waitFor();
    await send('acct_bob', '99999999');
    await alerted().getByText('INSUFFICIENT_FUNDS').waitFor();
    await send('acct_bob', '1.234');
    const refused = await page.getByLabel('Amount in USD').evaluate((field) => field.validationMessage);
    assert(refused.includes('USD'), `three decimals of USD: ${refused}`);
    assert(numberOf(await balance.innerText()) === before - 12.5, 'a refused transfer moved money');
  });

  // Of these currencies, browsers show HUF without decimals, and CLF with another number of them.
  await check('money has the decimals of its currency', async () => {
    for (const [currency, digits, text] of [
      ['JPY', 0, '¥100'],
      ['HUF', 2, 'HUF 100.00'],
      ['KWD', 3, 'KWD 100.000'],
      ['CLF', 4, 'CLF 100.0000'],
    ]) {
      const open = async (userId, openingMinor) => {
        const { accountOpen } = await api(
          options.admin,
          'mutation ($input: AccountOpenInput!) { accountOpen(input: $input) { account { id } userErrors { message } } }',
          { input: { name: currency, currency, userId, openingMinor } },
        );
        assert(accountOpen.userErrors.length === 0, JSON.stringify(accountOpen.userErrors));
        return accountOpen.account.id;
      };
      const [from, to] = [await open('user_alice', (300n * 10n ** BigInt(digits)).toString()), await open('user_alice', '0')];
      await page.reload();
      await go('Transfer');
      await page.getByRole('combobox', { name: 'From' }).selectOption(from);
      await page.getByLabel('To account').fill(to);
      await page.getByLabel(`Amount in ${currency}`).fill('100');
      await page.getByRole('button', { name: 'Transfer' }).click();
      await told().getByText('went to').waitFor();
      const { node } = await api(options.admin, 'query ($id: ID!) { node(id: $id) { ... on Account { balance { amountMinor } } } }', { id: to });
      assert(node.balance.amountMinor === (100n * 10n ** BigInt(digits)).toString(), `100 ${currency} moved ${node.balance.amountMinor}`);
      const shown = (await page.getByTestId(to).innerText()).replaceAll('\u00a0', ' ');
      assert(shown === text, `100 ${currency} are shown as ${shown}`);
    }
  });

  await check('order history', async () => {
    await go('Orders');
    const orders = page.getByRole('list', { name: 'Your orders' }).getByRole('article');
    const ids = () => orders.evaluateAll((cards) => cards.map((card) => card.dataset.order));
    await orders.first().waitFor();
    // Four were placed here, and one came with the demo data.
    assert((await orders.count()) === 5, `${await orders.count()} orders`);
    await go('Products');
    for (let i = 0; i < 3; i++) {
      await addToBasket('USB-C hub').click();
      await basket.getByLabel('Payment').selectOption({ label: i === 2 ? 'Later' : 'Card' });
      await placeOrder.click();
      await basket.getByText('Nothing yet.').waitFor();
    }
    await go('Orders');
    await eventually('orders', () => orders.count(), (n) => n === 5);
    await page.getByRole('button', { name: 'Show more orders' }).click();
    await eventually('orders', () => orders.count(), (n) => n === 8);
    const all = await ids();
    assert(new Set(all).size === 8, `twice the same order: ${all}`);
    assert((await page.getByRole('button', { name: 'Show more orders' }).count()) === 0, 'more than all orders');

    const newest = orders.first();
    await newest.getByText('PENDING', { exact: true }).waitFor();
    await newest.getByRole('button', { name: /^Pay order.*, with points$/ }).click();
    await newest.getByText('PAID', { exact: true }).waitFor();
    await newest.getByRole('button', { name: /^Cancel order/ }).click();
    await newest.getByText('CANCELLED', { exact: true }).waitFor();
  });

  const newest = page.getByRole('list', { name: 'Your orders' }).getByRole('article').first();
  const orderLater = async (name) => {
    await go('Products');
    await addToBasket(name).click();
    await basket.getByLabel('Payment').selectOption({ label: 'Later' });
    await placeOrder.click();
    await told(basket).getByText('Order placed:').waitFor();
    await go('Orders');
    await newest.getByText('PENDING', { exact: true }).waitFor();
    return newest.getAttribute('data-order');
  };
  const payBy = async (card) => {
    await newest.getByRole('combobox', { name: /^Card for order/ }).selectOption({ label: card });
    await newest.getByRole('button', { name: /^Pay order.*, by card$/ }).click();
  };

  await check('a declined card, and another one', async () => {
    await orderLater('USB-C hub');
    await payBy('Card that is declined');
    await alerted(newest).getByText('PAYMENT_DECLINED').waitFor();
    await newest.getByText('The last card was declined: the simulated gateway declines it. Try another one.').waitFor();
    await newest.getByText('PENDING', { exact: true }).waitFor();
    await accessible('a declined card');
    await payBy('Card');
    await told(newest).getByText('Paid.').waitFor();
    await newest.getByText('PAID', { exact: true }).waitFor();
    assert((await newest.getByText('The last card was declined').count()) === 0, 'the paid order tells of a declined card');
  });

  await check('a declined card at checkout keeps the basket', async () => {
    await go('Products');
    await addToBasket('Desk lamp').click();
    await basket.getByLabel('Payment').selectOption({ label: 'Card that is declined' });
    await placeOrder.click();
    await alerted(basket).getByText('PAYMENT_DECLINED').waitFor();
    await basket.getByLabel('Payment').selectOption({ label: 'Card' });
    await placeOrder.click();
    await told(basket).getByText('placed and paid').waitFor();
  });

  await check('a card that has to be confirmed', async () => {
    await go('Products');
    await addToBasket('Desk lamp').click();
    await basket.getByLabel('Payment').selectOption({ label: 'Card that has to be confirmed' });
    await placeOrder.click();
    await told(basket).getByText('The payment waits for you to confirm it.').waitFor();
    await go('Orders');
    await newest.getByText('PENDING', { exact: true }).waitFor();
    await newest.getByRole('button', { name: /^Look for the payment/ }).click();
    await told(newest).getByText('Not paid yet.').waitFor();
    await accessible('a card that has to be confirmed');
    await newest.getByRole('link', { name: 'Confirm the payment' }).click();
    await page.getByRole('button', { name: 'Confirm the payment' }).click();
    await page.getByText('The payment is AUTHORIZED.').waitFor();
    await page.goto(`${base}/shop#orders`);
    await newest.getByRole('button', { name: /^Look for the payment/ }).click();
    await newest.getByText('PAID', { exact: true }).waitFor();
  });

  await check('a card that is refused when it is to be confirmed', async () => {
    const orderId = await orderLater('USB-C hub');
    await payBy('Card that has to be confirmed');
    await newest.getByRole('link', { name: 'Confirm the payment' }).click();
    await page.getByRole('button', { name: 'Refuse the payment' }).click();
    await page.getByText('The payment is DECLINED.').waitFor();
    await page.goto(`${base}/shop#orders`);
    await newest.getByRole('button', { name: /^Look for the payment/ }).click();
    await newest.getByText('The last card was declined: the simulated gateway declines it. Try another one.').waitFor();
    await newest.getByText('PENDING', { exact: true }).waitFor();
    const { order } = await api(options.admin, 'query ($id: ID!) { order(id: $id) { paymentAttempts { status } } }', { id: orderId });
    const attempts = order.paymentAttempts.map(({ status }) => status).join();
    assert(attempts === 'DECLINED', `the attempts are ${attempts}`);
    await accessible('a card that was refused');
    await payBy('Card');
    await newest.getByText('PAID', { exact: true }).waitFor();
  });

  await check('an order that waits for its customer is cancelled', async () => {
    await orderLater('USB-C hub');
    await payBy('Card that has to be confirmed');
    await newest.getByRole('link', { name: 'Confirm the payment' }).waitFor();
    await newest.getByRole('button', { name: /^Cancel order/ }).click();
    await newest.getByText('CANCELLED', { exact: true }).waitFor();
    assert((await newest.getByRole('link', { name: 'Confirm the payment' }).count()) === 0, 'a cancelled order waits for its payment');
  });

  await check('a payment that loses to a cancellation', async () => {
    const orderId = await orderLater('USB-C hub');
    const payment = /payOrder/;
    await page.route('**/graphql', async (route) => {
      if (payment.test(route.request().postData() ?? '')) {
        const { cancelOrder } = await api(
          options.admin,
          'mutation ($input: CancelOrderInput!) { cancelOrder(input: $input) { order { status } userErrors { message } } }',
          { input: { idempotencyKey: crypto.randomUUID(), orderId } },
        );
        assert(cancelOrder.order?.status === 'CANCELLED', JSON.stringify(cancelOrder));
      }
      await route.continue();
    });
    await payBy('Card');
    await alerted(newest).getByText('INVALID_STATE').waitFor();
    await newest.getByText('CANCELLED', { exact: true }).waitFor();
    assert((await newest.getByText('Paid.').count()) === 0, 'a cancelled order is said to be paid');
    await page.unroute('**/graphql');
  });

  await check('a refund, a parcel and a return', async () => {
    const orderId = await orderLater('USB-C hub');
    await payBy('Card');
    await newest.getByText('PAID', { exact: true }).waitFor();
    const { order } = await api(options.admin, 'query ($id: ID!) { order(id: $id) { lines { product { id } } } }', { id: orderId });
    const run = async (name, type, input) => {
      const answer = await api(options.admin, `mutation ($input: ${type}!) { ${name}(input: $input) { userErrors { message } } }`, {
        input: { idempotencyKey: crypto.randomUUID(), orderId, ...input },
      });
      assert(answer[name].userErrors.length === 0, JSON.stringify(answer[name].userErrors));
    };
    await run('refundCreate', 'RefundCreateInput', { amount: { amountMinor: '300', currency: 'USD' }, reason: 'A scratch' });
    await run('orderFulfil', 'OrderFulfilInput', { tracking: 'PARCEL 42' });
    const lines = order.lines.map(({ product }) => ({ productId: product.id, quantity: 1 }));
    await run('returnCreate', 'ReturnCreateInput', { lines, restock: true, refund: true, reason: 'Not wanted' });
    await page.reload();
    await newest.getByText(/^Sent on .* Tracking: PARCEL 42$/).waitFor();
    assert((await newest.getByRole('button', { name: /^Cancel order/ }).count()) === 0, 'an order that was sent can be cancelled');
    const [back, refund] = await newest.getByRole('list', { name: 'Refunds and returns' }).getByRole('listitem').allInnerTexts();
    assert(/^\$42\.00 REFUNDED on .*: Not wanted/.test(back), back);
    assert(/^\$3\.00 REFUNDED on .*: A scratch/.test(refund), refund);
    await newest.getByText('1 × USB-C hub, $45.00 (1 returned or refunded)').waitFor();
    await accessible('a refund');
  });

  await check('keyboard only', async () => {
    await page.reload();
    await page.getByRole('heading', { name: 'Orders', level: 1 }).waitFor();
    const reach = async (name) => {
      for (let i = 0; i < 60; i++) {
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
    await addToBasket('Silent mouse').waitFor();
    const heading = await page.evaluate(() => document.activeElement.innerText);
    assert(heading === 'Products', `the focus went to ${heading}`);
    await reach('Add Mechanical keyboard');
    await page.keyboard.press('Enter');
    await reach('Quantity of Mechanical keyboard');
    await page.keyboard.press('ArrowUp');
    await reach('Payment');
    await page.keyboard.press('ArrowDown'); // from points to the account
    await reach('Place order');
    await page.keyboard.press('Enter');
    await told(basket).getByText('placed and paid: $178.00').waitFor();
  });

  await check('phone', async () => {
    await page.setViewportSize(phone);
    for (const view of views) {
      await go(view);
      const { width, small } = await page.evaluate(() => ({
        width: document.documentElement.scrollWidth,
        small: [...document.querySelectorAll('button, input, select, nav a')]
          .filter((e) => e.getBoundingClientRect().height < 24)
          .map((e) => e.outerHTML.slice(0, 80)),
      }));
      assert(width <= phone.width, `${view} is ${width} px wide`);
      assert(small.length === 0, `${view}: too small for a finger: ${small}`);
      await accessible(`${view} on a phone`);
    }
    await go('Products');
    await addToBasket('Silent mouse').click();
    await main.getByText('1 in the basket').waitFor();
    await page.getByRole('button', { name: 'Go to basket' }).click();
    await eventually('the basket', () => placeOrder.evaluate((e) => e.getBoundingClientRect().top), (y) => y < phone.height);
    await basket.getByRole('button', { name: 'Remove Silent mouse' }).click();
    await page.setViewportSize(desktop);
  });

  for (const colorScheme of ['light', 'dark']) {
    await check(`axe, ${colorScheme}`, async () => {
      await page.emulateMedia({ colorScheme });
      const [red] = (await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/g);
      assert(colorScheme === 'dark' ? red < 60 : red > 200, `${colorScheme}: the background's red is ${red}`);
      for (const view of views) {
        await go(view);
        if (view === 'Products') {
          await addToBasket('Silent mouse').click();
          await basket.getByRole('button', { name: 'Remove Silent mouse' }).waitFor();
        }
        await accessible(view);
      }
    });
  }
  await page.emulateMedia({ colorScheme: 'light' });

  await check('sign in', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await accessible('Sign in');
    await page.getByLabel('Access token').fill('no.such.token');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await alerted().getByText('Your access token is not valid').first().waitFor();
    complaints.length = 0; // Chromium itself reports the refusal.
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Access token').fill(`Bearer ${options.admin}`);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await go('Products');
    await addToBasket('Silent mouse').waitFor();
    await eventually('payment', () => basket.getByLabel('Payment').innerText(), (text) => text.includes('Points (0)'));
    await page.reload();
    await go('Orders');
    await main.getByText('None yet.').waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Continue as the demo customer' }).click();
    await page.getByRole('list', { name: 'Your orders' }).waitFor();
  });

  await check('stock is polled where there is no WebSocket', async () => {
    await page.routeWebSocket(/graphql/, (socket) => socket.close({ code: 1011 }));
    await open();
    await page.reload();
    await main.getByText('Stock is looked up every two seconds.').waitFor();
    const before = await stockOf('HP-X2');
    await adjustStock('prod_3', 5);
    await eventually('stock', () => stockOf('HP-X2'), (n) => n === before + 5);
  });
}

/**
 * Under the strategy QUEUE, on a server whose worker is held up until this script has said that it waits: the place in
 * the line is shown, or that the order is being placed, and then the order.
 */
async function ticket() {
  await check('waiting line', async () => {
    await open();
    await addToBasket('Silent mouse').click();
    await placeOrder.click();
    await told().getByText(/Your place: \d+|Your order is being placed/).waitFor();
    await accessible('waiting line');
    await go('Points'); // The place is kept, and shown, whatever else one looks at.
    await told().getByText(/Your place: \d+|Your order is being placed/).waitFor();
    say({ waiting: true });
    await told().getByText('Your order was served: $24.00').waitFor();
    await go('Products');
    await eventually('stock', () => stockOf('MS-01'), (n) => n < 400);
    await go('Orders');
    await page.getByRole('article').filter({ hasText: 'PAID' }).first().waitFor();
  });
}

/** Where no token comes with the page, and the catalogue is that of examples/products.csv. */
async function production() {
  await check('production', async () => {
    await page.goto(`${base}/shop`);
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert((await page.getByRole('button').count()) === 1, 'there is another way in than a token');
    await page.getByLabel('Access token').fill(options.admin);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await addToBasket('Enamel mug').click();
    await basket.getByLabel('Payment').selectOption({ label: 'Card' });
    await placeOrder.click();
    await told(basket).getByText('Order placed and paid: $12.00').waitFor();
    await stock('MUG').getByText('139 left').waitFor();
    await main.getByText('Stock is live.').waitFor();
  });
}

async function screenshots() {
  for (const [name, colorScheme, viewport] of [
    ['shop-light', 'light', { width: 1000, height: 640 }],
    ['shop-dark', 'dark', { width: 1000, height: 640 }],
    ['shop-phone', 'light', phone],
  ]) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    await open();
    await main.getByText('Stock is live.').waitFor();
    await addToBasket('Headphones').click();
    await page.evaluate(() => window.scrollTo(0, 0));
    await page.screenshot({ path: join(options.screenshots, `${name}.png`) });
  }
}

try {
  if (options.screenshots) {
    await screenshots();
  } else {
    await { all: shop, ticket, production }[options.mode]();
  }
} finally {
  await close();
}
process.exit(failed ? 1 : 0);
