// Drives the Playground in Chromium: opens every prepared tab, executes it and prints one line of JSON a tab,
// {"tab": name, "response": what the response editor shows}. A subscription without an event in time has response null.
// Fails when the page reports an error, breaks its Content-Security-Policy, or asks any other host for anything.
//
//   node tests/playground.mjs http://127.0.0.1:8080/ [--screenshots DIRECTORY]
//
// CHROMIUM names the browser's executable; /usr/bin/chromium by default.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { chromium } from 'playwright-core';

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: { screenshots: { type: 'string' } },
});
const [base] = positionals;
if (!base) {
  console.error('usage: node tests/playground.mjs BASE_URL [--screenshots DIRECTORY]');
  process.exit(2);
}

const patience = 120_000; // For the page, and for the response to a query or mutation.
const subscriptionPatience = 3_000; // For the first event of a subscription.
const settle = 500; // GraphiQL parses a tab's operation 100 ms after showing it, and stores tabs after 500 ms.

const failures = [];
const fail = (message) => {
  failures.push(message);
  console.error(`FAIL ${message}`);
};

const profile = await mkdtemp(join(tmpdir(), 'holdfast-playground-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  headless: true,
  viewport: { width: 1400, height: 860 },
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
try {
  await run(context.pages()[0] ?? (await context.newPage()));
} catch (error) {
  fail(error.stack);
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}
process.exit(failures.length > 0 ? 1 : 0);

async function run(page) {
  const introspection = watch(page);
  await page.addInitScript(() => {
    // What an earlier visit with other tabs left behind.
    if (!sessionStorage.getItem('seeded')) {
      sessionStorage.setItem('seeded', 'yes');
      localStorage.setItem('holdfast:playground:earlier:graphiql:tabState', '{}');
    }
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`Content-Security-Policy: ${event.violatedDirective} refused ${event.blockedURI}`);
    });
  });
  await open(page);

  const config = await page.evaluate(() => JSON.parse(document.getElementById('holdfast-config').textContent));
  const tabs = page.locator('.graphiql-tab .graphiql-tab-button');
  const names = await tabs.allInnerTexts();
  if (names.length !== config.tabs.length) {
    fail(`${config.tabs.length} tabs were prepared, ${names.length} are shown: ${names.join(', ')}`);
  }
  if ((await page.title()) !== config.title) {
    fail(`the page is titled ${await page.title()}, not ${config.title}`);
  }
  if (await page.evaluate(() => localStorage.getItem('holdfast:playground:earlier:graphiql:tabState'))) {
    fail("an earlier visit's tabs, and with them its token, are still stored");
  }
  const introspected = await introspection;
  if (!introspected?.data) {
    fail(`introspection answered ${JSON.stringify(introspected)}`);
  }
  if (options.screenshots) {
    await screenshots(page);
  }

  // The first visit, and a second one before anything was clicked.
  await shows(page, names[0], config.tabs[0]);
  await page.waitForTimeout(2 * settle);
  await open(page);
  await shows(page, names[0], config.tabs[0]);

  for (const [index, tab] of names.entries()) {
    await tabs.nth(index).click();
    await page.waitForTimeout(settle);
    await shows(page, tab, config.tabs[index]);
    console.log(JSON.stringify({ tab, response: await execute(page, tab) }));
  }
  if (options.screenshots) {
    await page.screenshot({ path: join(options.screenshots, 'executed.png') });
  }

  await prettify(page);

  // Another visit finds the tabs as they were left.
  await page.waitForTimeout(2 * settle);
  await open(page);
  const again = await tabs.allInnerTexts();
  if (again.join() !== names.join()) {
    fail(`after reloading the tabs are ${again.join(', ')}`);
  }
  await shows(page, names.at(-1), config.tabs.at(-1));
}

/** Collects what must not happen; resolves with the answer to the first introspection. */
function watch(page) {
  const { host } = new URL(base);
  const check = (url) => {
    const { protocol, host: asked } = new URL(url);
    if (!['data:', 'blob:'].includes(protocol) && asked !== host) {
      fail(`the page asked another host: ${url}`);
    }
  };
  context.on('request', (request) => check(request.url()));
  page.on('websocket', (socket) => check(socket.url()));
  page.on('pageerror', (error) => fail(`uncaught: ${error.stack ?? error}`));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) {
      fail(`console: ${message.text()} (${message.location().url})`);
    }
  });
  page.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText;
    if (reason !== 'net::ERR_ABORTED') { // Reloading the page aborts whatever is still on its way.
      fail(`request failed: ${request.url()} ${reason}`);
    }
  });
  return page
    .waitForResponse((response) => response.request().postData()?.includes('IntrospectionQuery') ?? false, {
      timeout: patience,
    })
    .then((response) => response.json())
    .catch((error) => fail(`introspection: ${error.message}`));
}

async function open(page) {
  await page.goto(base, { timeout: patience });
  await page.waitForFunction(
    // The editors of operation, variables, headers and response.
    () => document.querySelectorAll('.graphiql-editor .monaco-editor, .result-window .monaco-editor').length >= 4,
    null,
    { timeout: patience },
  );
}

/** Compares the three editors with what was prepared. */
async function shows(page, tab, prepared) {
  for (const [editor, want] of Object.entries({
    'operation.graphql': prepared?.query,
    'variables.json': prepared?.variables,
    'request-headers.json': prepared?.headers,
  })) {
    const shown = await model(page, editor);
    if (shown !== want) {
      fail(`${tab}: ${editor} shows ${JSON.stringify(shown)}, not ${JSON.stringify(want)}`);
    }
  }
}

async function execute(page, tab) {
  const subscription = /^\s*subscription\b/m.test(await model(page, 'operation.graphql'));
  await page.locator('.graphiql-execute-button').click();
  try {
    await page.waitForFunction(
      () => {
        const response = globalThis.__MONACO?.editor.getModels().find((m) => m.uri.path.endsWith('response.json'));
        return Boolean(response?.getValue());
      },
      null,
      { timeout: subscription ? subscriptionPatience : patience },
    );
  } catch (error) {
    if (!subscription) {
      fail(`${tab}: no response: ${error.message}`);
    }
  }
  const text = await model(page, 'response.json');
  if (subscription && (await page.locator('.graphiql-execute-button').getAttribute('aria-label'))?.startsWith('Stop')) {
    await page.locator('.graphiql-execute-button').click();
  }
  if (!text) {
    return null;
  }
  try {
    return JSON.parse(text);
  } catch {
    fail(`${tab}: the response is not JSON`);
    return text;
  }
}

/** Prettify runs on stand-ins for parts of prettier; see vite.config.ts. */
async function prettify(page) {
  const before = await Promise.all(['operation.graphql', 'variables.json'].map((name) => model(page, name)));
  const write = (texts) =>
    page.evaluate((values) => {
      for (const [suffix, value] of Object.entries(values)) {
        globalThis.__MONACO.editor.getModels().find((m) => m.uri.path.endsWith(suffix)).setValue(value);
      }
    }, texts);
  await write({ 'operation.graphql': '# Kept\nquery   Ugly{__typename}', 'variables.json': '{"a":[1],// kept\n"b":{}}' });
  await page.getByRole('button', { name: /^Prettify/ }).click();
  await page
    .waitForFunction(
      () => {
        const text = (name) => globalThis.__MONACO.editor.getModels().find((m) => m.uri.path.endsWith(name)).getValue();
        return !text('operation.graphql').includes('   Ugly') && text('variables.json').includes('\n}');
      },
      null,
      { timeout: patience },
    )
    .catch(() => {}); // What is there instead is reported below.
  await shows(page, 'Prettify', {
    query: '# Kept\nquery Ugly {\n  __typename\n}\n',
    variables: '{\n  "a": [\n    1\n  ], // kept\n  "b": {}\n}',
    headers: await model(page, 'request-headers.json'),
  });
  await write({ 'operation.graphql': before[0], 'variables.json': before[1] });
  await page.waitForTimeout(2 * settle);
}

/** GraphiQL leaves the editor's API in a global: what a model holds is what its editor shows. */
function model(page, name) {
  return page.evaluate(
    (suffix) => globalThis.__MONACO.editor.getModels().find((m) => m.uri.path.endsWith(suffix))?.getValue(),
    name,
  );
}

async function screenshots(page) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.reload();
    await page.waitForFunction(() => document.querySelectorAll('.monaco-editor .view-line').length > 4);
    await page.waitForTimeout(2 * settle);
    await page.screenshot({ path: join(options.screenshots, `${colorScheme}.png`) });
  }
}
