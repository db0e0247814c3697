// What the scripts that drive a page in Chromium have in common. Each check prints a line of JSON, {"check": name, "error": what is wrong or
// null}. CHROMIUM names the browser's executable.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

/** Milliseconds after which nothing is waited for any more. */
export const patience = Number(process.env.PATIENCE ?? 120_000);
export const desktop = { width: 1200, height: 860 };
export const phone = { width: 360, height: 740 };

export const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

export function assert(condition, message) {
  if (!condition) {
    throw new Error(message);
  }
}

/** Reads until what is read is accepted. */
export async function eventually(what, read, accept) {
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

/** Opens a browser with a profile of its own, and returns its page with what checks need. */
export async function openBrowser(base, name) {
  const profile = await mkdtemp(join(tmpdir(), `holdfast-${name}-`));
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
  const urls = [];
  // A page that complains, breaks its Content-Security-Policy, or asks another host has a defect, whatever it shows.
  page.on('pageerror', (error) => complaints.push(`page error: ${error.message}`));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) {
      complaints.push(`console: ${message.text()} (${message.location().url})`);
    }
  });
  page.on('request', (request) => {
    urls.push(request.url());
    const url = new URL(request.url());
    if (['http:', 'https:', 'ws:', 'wss:'].includes(url.protocol) && url.host !== new URL(base).host) {
      complaints.push(`a request to ${url.host}`);
    }
  });

  const browser = {
    page,
    /** What the page has complained of since the last check. A check that provokes a complaint empties it. */
    complaints,
    /** All addresses that were asked for. */
    urls,
    failed: false,
    close,
    async check(what, run) {
      let error = null;
      try {
        await run();
        if (complaints.length > 0) {
          error = complaints.splice(0).join('; ');
        }
      } catch (e) {
        error = [e.message, ...complaints.splice(0)].join('; ');
      }
      browser.failed ||= error !== null;
      say({ check: what, error });
    },
    /** Looks at what is shown with the eyes of axe. */
    async accessible(what) {
      const { violations } = await new AxeBuilder({ page }).analyze();
      const found = violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(' | ')}`);
      assert(found.length === 0, `${what}: ${found.join('; ')}`);
    },
    /** The page fits on a phone, and what is to be pressed is large enough for a finger. */
    async fitsOnPhone(what) {
      const { width, small } = await page.evaluate(() => ({
        width: document.documentElement.scrollWidth,
        small: [...document.querySelectorAll('button, input, select, textarea, summary, nav a')]
          .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 24)
          .map((e) => e.outerHTML.slice(0, 80)),
      }));
      assert(width <= phone.width, `${what} is ${width} px wide`);
      assert(small.length === 0, `${what}: too small for a finger: ${small}`);
    },
  };
  return browser;
}

/** Asks the API beside the page. */
export async function ask(base, token, query, variables) {
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
