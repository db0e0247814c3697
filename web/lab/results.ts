import { nameOf } from './config';
import { h } from './dom';
import type { ExperimentProgressSubscription } from './gql/operations';

export type Experiment = ExperimentProgressSubscription['experimentProgress'];
type Case = Experiment['report']['cases'][number];
type Interval = Case['perSecond'];

/** What was lost, under each strategy under which something was; nothing where all is exact. */
export function alarms(report: Experiment['report']): HTMLElement[] {
  return report.cases
    .filter((c) => c.violations > 0)
    .map((c) => {
      const findings = report.runs
        .filter((run) => run.workload === c.workload && run.strategy === c.strategy)
        .flatMap((run) => run.findings)
        .slice(0, 3);
      return h(
        'div',
        { class: 'alarm' },
        h('strong', {}, `${c.strategy} broke the shop under ${c.workload}: ${c.damage}`),
        h('ul', {}, ...findings.map((f) => h('li', {}, `${f.kind}: `, h('code', {}, f.subject), ` ${f.text}`))),
      );
    });
}

export function conclusion(lines: string[]): HTMLElement[] {
  return lines.length > 0 ? [h('h3', {}, 'Conclusion'), h('ul', {}, ...lines.map((line) => h('li', {}, line)))] : [];
}

/** Plots and a table for each workload and setting: only within one can strategies be compared. */
export function results(cases: Case[]): HTMLElement[] {
  const groups = new Map<string, Case[]>();
  for (const c of cases) {
    const title = `${c.workload} on ${c.setting}`;
    groups.set(title, [...(groups.get(title) ?? []), c]);
  }
  return [...groups].map(([title, group]) =>
    h(
      'section',
      { class: 'card', 'aria-label': title },
      h('h3', {}, title),
      h(
        'div',
        { class: 'plots' },
        plot('Successes in a second (more is better)', group, [(c) => c.perSecond]),
        plot('Latency in ms: median, and 99th percentile below it (less is better)', group, [
          (c) => c.p50Ms,
          (c) => c.p99Ms,
        ]),
      ),
      h('p', { class: 'quiet' }, 'Whiskers are the range of the rounds; from six rounds on, the 95 % confidence interval of the median. Hatched bars lost or invented something.'),
      table(title, group),
    ),
  );
}

/** Bars are for the eye; the table below has the same figures for everybody. */
function plot(title: string, cases: Case[], figures: ((c: Case) => Interval)[]): HTMLElement {
  const most = Math.max(...cases.flatMap((c) => figures.map((figure) => figure(c).high)), 1e-9);
  const percent = (value: number) => `${(100 * value) / most}%`;
  const bars = cases.flatMap((c) =>
    figures.map((figure, i) => {
      const { median, low, high } = figure(c);
      const fill = h('div', { class: ['fill', i > 0 && 'second', c.violations > 0 && 'broken'].filter(Boolean).join(' ') });
      fill.style.setProperty('--value', percent(median));
      const whisker = h('div', { class: 'whisker', hidden: low === high });
      whisker.style.setProperty('--low', percent(low));
      whisker.style.setProperty('--span', percent(high - low));
      return h(
        'div',
        { class: 'bar' },
        h('span', {}, i === 0 ? nameOf(c.strategy) : ''),
        h('div', { class: 'track' }, fill, whisker),
        h('span', { class: 'figure' }, compact(median)),
      );
    }),
  );
  return h('figure', {}, h('figcaption', {}, title), h('div', { 'aria-hidden': 'true' }, ...bars));
}

function table(title: string, cases: Case[]): HTMLElement {
  const head = ['strategy', 'successes/s', 'p50 ms', 'p99 ms', 'successes', 'refusals', 'audit'];
  const rows = cases.map((c) =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, nameOf(c.strategy)),
      ...[range(c.perSecond), range(c.p50Ms), range(c.p99Ms), c.successes, c.refusals].map((text) => h('td', {}, text)),
      h('td', { class: c.violations > 0 ? 'bad' : 'good' }, `${c.violations > 0 ? '✗ ' : ''}${c.audited ? c.damage : 'not audited'}`),
    ),
  );
  return h(
    'div',
    { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `Figures of ${title}` },
    h(
      'table',
      {},
      h('thead', {}, h('tr', {}, ...head.map((text) => h('th', { scope: 'col' }, text)))),
      h('tbody', {}, ...rows),
    ),
  );
}

function range({ median, low, high }: Interval): string {
  return low === high ? compact(median) : `${compact(median)} [${compact(low)}–${compact(high)}]`;
}

/** Three digits that mean something. */
function compact(value: number): string {
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}
