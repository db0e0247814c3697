// Drives the lab in Chromium and prints one line of JSON a check, {"check": name, "error": what is wrong or null}.
//
//   node tests/lab.mjs http://127.0.0.1:8080 [--mode demo|sign-in] [--admin TOKEN --customer TOKEN] [--screenshots DIRECTORY]
//
// The server must not have run an experiment yet. CHROMIUM names the browser's executable.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: {
    mode: { type: 'string', default: 'demo' },
    admin: { type: 'string' },
    customer: { type: 'string' },
    screenshots: { type: 'string' },
  },
});
const [base] = positionals;
if (!base) {
  console.error('usage: node tests/lab.mjs BASE_URL [--mode demo|sign-in] [--admin TOKEN --customer TOKEN]');
  process.exit(2);
}

const patience = 120_000; // An experiment starts a dozen servers, one after another.
const desktop = { width: 1200, height: 860 };
const phone = { width: 360, height: 740 };

const profile = await mkdtemp(join(tmpdir(), 'holdfast-lab-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  headless: true,
  viewport: desktop,
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
// A page that complains, breaks its Content-Security-Policy, or asks another host has a defect, whatever it shows.
page.on('pageerror', (error) => complaints.push(`page error: ${error.message}`));
page.on('console', (message) => {
  if (['error', 'warning'].includes(message.type())) {
    complaints.push(`console: ${message.text()} (${message.location().url})`);
  }
});
page.on('request', (request) => {
  if (new URL(request.url()).host !== new URL(base).host) {
    complaints.push(`a request to ${request.url()}`);
  }
});

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
  process.stdout.write(`${JSON.stringify({ check: name, error })}\n`);
}

function assert(condition, message) {
  if (!condition) {
    throw new Error(message);
  }
}

const what = page.getByLabel('What to run');
const strategy = (name) => page.getByRole('checkbox', { name, exact: true });
const start = page.getByRole('button', { name: 'Start' });
const stop = page.getByRole('button', { name: 'Stop' });
const status = page.getByRole('status');
const says = (text) => status.filter({ hasText: text }).waitFor();
const problem = page.locator('#problem');
const alarm = page.locator('#alarms');

/** Looks at what is shown with the eyes of axe, light and dark, on a desk and on a phone. */
async function accessible(name) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    for (const [device, viewport] of Object.entries({ desktop, phone })) {
      await page.setViewportSize(viewport);
      const { violations } = await new AxeBuilder({ page }).analyze();
      const found = violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(' | ')}`);
      assert(found.length === 0, `${name}, ${colorScheme}, ${device}: ${found.join('; ')}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert(wide <= 0, `${name}, ${device}: the page is ${wide} pixels wider than the screen`);
      if (options.screenshots) {
        await page.screenshot({ path: join(options.screenshots, `${name}-${colorScheme}-${device}.png`), fullPage: true });
      }
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize(desktop);
}

/** Fills in a short experiment. */
async function fill({ strategies, durationMs, rounds }) {
  await what.selectOption({ label: 'transfers' });
  for (const box of await page.getByRole('checkbox').all()) {
    await box.setChecked(strategies.includes(await box.inputValue()));
  }
  await page.getByLabel('Customers at a time').fill('16');
  await page.getByLabel('Milliseconds of a run').fill(String(durationMs));
  await page.getByLabel('Rounds').fill(String(rounds));
}

async function demo() {
  await check('the form', async () => {
    await page.goto(`${base}/lab`);
    await start.waitFor();
    assert((await page.getByRole('checkbox').count()) === 10, 'there are not ten strategies');
    assert(await stop.isDisabled(), 'nothing runs, and it can be stopped');
    await what.selectOption('plan/coupon-rush');
    assert(!(await page.getByLabel('Rounds').isVisible()), 'a plan says how many rounds there are');
    assert((await page.locator('#about').innerText()).includes('limited coupon'), 'the plan is not explained');
    await accessible('form');
  });

  await check('a strategy must be picked', async () => {
    await fill({ strategies: [], durationMs: 300, rounds: 2 });
    await start.click();
    const reason = await page.getByRole('checkbox').first().evaluate((box) => box.validationMessage);
    assert(reason === 'Pick at least one strategy.', `the form says ${reason}`);
    assert(!(await page.locator('#shown').isVisible()), 'something was started');
  });

  await check('an experiment, by keyboard', async () => {
    await fill({ strategies: ['none'], durationMs: 400, rounds: 3 });
    await strategy('rowlock').focus();
    await page.keyboard.press('Space');
    await page.getByLabel('Rounds').press('Enter');
    await says('Run 1 of 6: transfers under none, round 1.');
    assert(await start.isDisabled(), 'a second experiment can be started');
    await page.getByText('operations answered in this run').waitFor();
    await says('Run 3 of 6');
    assert((await page.getByRole('region', { name: /^transfers on sqlite/ }).count()) > 0, 'no results before the end');
    await says('Finished.');
    const loud = await alarm.innerText();
    assert(loud.includes('NONE broke the shop under transfers') && loud.includes('lost or invented'), `the alarm is ${loud}`);
    assert(!loud.includes('ROWLOCK'), `the alarm is ${loud}`);
    const conclusion = await page.locator('#conclusion').innerText();
    assert(conclusion.includes('Exact, with no finding of the audit in 3 runs: rowlock.'), `the conclusion is ${conclusion}`);
    const row = async (name) => (await page.getByRole('row', { name: new RegExp(`^${name}`) }).innerText()).split('\t');
    const [none, rowlock] = [await row('none'), await row('rowlock')];
    assert(none.at(-1).startsWith('✗') && rowlock.at(-1) === 'exact', `the audit says ${none.at(-1)} and ${rowlock.at(-1)}`);
    assert(Number.parseFloat(rowlock[1]) > 0 && Number.parseFloat(rowlock[3]) > 0, `rowlock is ${rowlock.join(', ')}`);
    const widths = await page.locator('.fill').evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().width));
    assert(widths.length === 6 && widths.every((width) => width > 0), `the bars are ${widths.join(', ')} pixels wide`);
    await accessible('results');
  });

  await check('stopping', async () => {
    await fill({ strategies: ['rowlock', 'atomicsql'], durationMs: 2000, rounds: 20 });
    await start.click();
    await says('Run 1 of 40');
    await stop.click();
    await says('Ended early: stopped by an administrator.');
    assert(await start.isEnabled(), 'the next one cannot be started');
  });

  await check('coming back', async () => {
    await page.reload();
    await says('Ended early: stopped by an administrator.');
    await page.getByRole('button', { name: /: finished$/ }).click();
    await says('Finished.');
    await alarm.getByText('NONE broke the shop').waitFor();
  });

  await check('what the server refuses', async () => {
    await fill({ strategies: ['rowlock'], durationMs: 500_000, rounds: 10 });
    await start.click();
    await problem.filter({ hasText: 'experiments.maxDuration' }).waitFor();
    assert(await start.isEnabled(), 'it cannot be tried again');
  });
}

async function signIn() {
  const token = page.getByLabel('Access token of an administrator');
  const button = page.getByRole('button', { name: 'Sign in' });
  await check('a token is asked for', async () => {
    await page.goto(`${base}/lab`);
    await token.waitFor();
    assert(!(await start.isVisible()), 'there is something to start');
    await accessible('sign-in');
  });
  await check("a customer's token is refused", async () => {
    await token.fill(options.customer);
    await button.click();
    await page.waitForFunction(() => document.querySelector('[name=token]').validationMessage.includes('not allowed'));
    assert(!(await start.isVisible()), 'there is something to start');
  });
  await check("an administrator's is taken, and kept", async () => {
    await token.fill(`Bearer ${options.admin}`);
    await button.click();
    await start.waitFor();
    await page.reload();
    await start.waitFor();
  });
}

try {
  await (options.mode === 'sign-in' ? signIn() : demo());
} finally {
  await close();
}
process.exit(failed ? 1 : 0);
