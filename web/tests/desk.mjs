// What the scripts that drive the administration have in common: the options, the browser, and the words for what is on the page.
import { parseArgs } from 'node:util';

import { ask, assert, openBrowser } from './harness.mjs';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    admin: { type: 'string' },
    customer: { type: 'string' },
    mode: { type: 'string', default: 'all' },
    screenshots: { type: 'string' },
  },
});
export const options = values;
export const [base] = positionals;
if (!base || !options.admin || !options.customer) {
  console.error('usage: node SCRIPT BASE_URL --admin TOKEN --customer TOKEN [--mode all|locks|production] [--screenshots DIRECTORY]');
  process.exit(2);
}

export const browser = await openBrowser(base, 'admin');
export const { page, check, accessible, fitsOnPhone, complaints, urls } = browser;

export const main = page.getByRole('main');
export const dialog = page.getByRole('dialog');
export const form = (name) => page.getByRole('form', { name, exact: true });
export const told = (where = main) => where.getByRole('status').filter({ hasText: /\S/ });
export const alerted = (where = main) => where.getByRole('alert').filter({ hasText: /\S/ });
export const table = (name) => page.getByRole('group', { name, exact: true });
export const unfold = (name) => main.locator('summary').filter({ hasText: new RegExp(`^${name}$`) }).click();
export const rows = (name) => table(name).locator('tbody tr');
export const administration = page.getByRole('navigation', { name: 'Administration' });
export const key = () => crypto.randomUUID();

export const admin = (query, variables) => ask(base, options.admin, query, variables);
export const customer = (query, variables) => ask(base, options.customer, query, variables);

/** A mutation beside the page. */
export async function change(as, name, type, fields, input) {
  const answer = await as(`mutation ($input: ${type}!) { ${name}(input: $input) { ${fields} userErrors { code message } } }`, { input });
  assert(answer[name].userErrors.length === 0, `${name}: ${JSON.stringify(answer[name].userErrors)}`);
  return answer[name];
}

export const order = (input = {}) =>
  change(customer, 'placeOrder', 'PlaceOrderInput', 'order { id }', {
    idempotencyKey: key(),
    lines: [{ productId: 'prod_6', quantity: 2 }],
    ...input,
  }).then(({ order: { id } }) => id);

export async function go(view) {
  await administration.getByRole('link', { name: view, exact: true }).click();
  await page.getByRole('heading', { name: view, level: 1 }).waitFor();
}

export async function open(view, id) {
  await page.goto(`${base}/admin#${view}/${id}`);
}

export const agree = (action) => dialog.getByRole('button', { name: action, exact: true }).click();

export async function signInWith(token) {
  await page.getByLabel('Access token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
}
