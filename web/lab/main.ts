import '../common/base.css';
import './style.css';

import { pagesLabel } from '../common/site';
import { Client, Refusal } from './client';
import { nameOf, readConfig } from './config';
import { byId, h, show } from './dom';
import { Form } from './form';
import {
  ExperimentProgressDocument,
  ExperimentsDocument,
  type ExperimentState,
  StartExperimentDocument,
  StopExperimentDocument,
} from './gql/operations';
import { alarms, conclusion, type Experiment, results } from './results';

const tokenKey = 'holdfast:lab:token';
const reconnect = 1000; // Milliseconds after which a stream that broke off is opened again.

const config = readConfig();
const form = new Form(config);
const signIn = byId<HTMLFormElement>('sign-in');
const problem = byId('problem');
const start = byId<HTMLButtonElement>('start');
const stop = byId<HTMLButtonElement>('stop');

let client = new Client(config.endpoint, '');
let watching: { id: string; end: AbortController } | undefined;

const over = (state: ExperimentState) => state !== 'RUNNING' && state !== 'STOPPING';

/** Says what went wrong, and asks for another token where that may help. */
function complain(error: unknown) {
  problem.textContent = error instanceof Refusal ? error.message : 'The server cannot be reached.';
  if (error instanceof Refusal && error.signIn) {
    sessionStorage.removeItem(tokenKey);
    open('');
    const token = signIn.elements.namedItem('token') as HTMLInputElement;
    token.setCustomValidity(error.message);
    token.reportValidity();
  }
}

function open(token: string) {
  client = new Client(config.endpoint, token);
  signIn.hidden = token !== '';
  form.element.hidden = token === '';
  byId('experiments').hidden = byId('shown').hidden = true;
  watching?.end.abort();
  watching = undefined;
  if (token) {
    void list().catch(complain);
  }
}

/** Lists what the server remembers, and shows the newest where nothing else is shown. */
async function list() {
  const experiments = (await client.ask(ExperimentsDocument, {})).experiments ?? [];
  const [newest] = experiments;
  if (newest && !watching) {
    void watch(newest.id);
  }
  byId('experiments').hidden = experiments.length === 0;
  show(byId('earlier'), [experiments, watching?.id], () =>
    experiments.map((e) => {
      const time = new Date(e.startedAt).toLocaleTimeString();
      const current = e.id === watching?.id && { 'aria-current': 'true' };
      const button = h('button', { type: 'button', class: 'secondary', ...current }, `${e.name}, ${time}: ${e.state.toLowerCase()}`);
      button.addEventListener('click', () => void watch(e.id));
      return h('li', {}, button);
    }),
  );
}

/** Follows an experiment to its end. */
async function watch(id: string) {
  watching?.end.abort();
  const end = new AbortController();
  watching = { id, end };
  let last: ExperimentState = 'RUNNING';
  while (!end.signal.aborted && !over(last)) {
    try {
      await client.watch(ExperimentProgressDocument, { id }, end.signal, ({ experimentProgress }) => {
        const news = experimentProgress.state !== last;
        last = experimentProgress.state;
        draw(experimentProgress);
        if (news) {
          void list().catch(complain);
        }
      });
    } catch (error) {
      if (end.signal.aborted) {
        return;
      }
      if (error instanceof Refusal) {
        complain(error);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, reconnect));
    }
  }
}

function draw(e: Experiment) {
  byId('shown').hidden = false;
  byId('shown-title').textContent = e.name;
  start.disabled = !over(e.state);
  stop.disabled = e.state !== 'RUNNING';
  const { progress: p, report } = e;
  show(byId('status'), [e.state, e.error, p?.run], () => [state(e)]);
  byId('counted').textContent = p && !over(e.state) ? `${p.operations} operations answered in this run.` : '';
  const bar = byId<HTMLProgressElement>('bar');
  bar.hidden = over(e.state);
  bar.max = p?.runs ?? 1;
  bar.value = p ? p.run - 1 : 0;
  show(byId('alarms'), report.cases.map((c) => [e.id, c.workload, c.strategy, c.violations]), () => alarms(report));
  show(byId('conclusion'), report.conclusion, () => conclusion(report.conclusion));
  show(byId('results'), report.cases, () => results(report.cases));
}

function state(e: Experiment): string {
  const p = e.progress;
  switch (e.state) {
    case 'RUNNING':
      return p ? `Run ${p.run} of ${p.runs}: ${p.workload} under ${nameOf(p.strategy)}, round ${p.round}.` : 'Starting servers.';
    case 'STOPPING':
      return 'Stopping: its servers are ending.';
    case 'FINISHED':
      return 'Finished.';
    case 'STOPPED':
      return `Ended early: ${e.error}.`;
    case 'FAILED':
      return `Failed: ${e.error}`;
  }
}

form.element.addEventListener('submit', (event) => {
  event.preventDefault();
  problem.textContent = '';
  start.disabled = true; // Until the stream says that it is over.
  client
    .ask(StartExperimentDocument, { input: form.input() })
    .then(({ startExperiment }) => {
      const [failure] = startExperiment?.userErrors ?? [];
      if (failure || !startExperiment?.experiment) {
        throw new Refusal(failure?.message ?? 'Nothing was started.', false);
      }
      void watch(startExperiment.experiment.id);
      return list();
    })
    .catch((error: unknown) => {
      start.disabled = false;
      complain(error);
    });
});

stop.addEventListener('click', () => {
  stop.disabled = true;
  client.ask(StopExperimentDocument, { input: { id: watching?.id } }).catch(complain);
});

signIn.addEventListener('submit', (event) => {
  event.preventDefault();
  const token = (signIn.elements.namedItem('token') as HTMLInputElement).value.trim().replace(/^Bearer\s+/i, '');
  sessionStorage.setItem(tokenKey, token);
  problem.textContent = '';
  open(token);
});
signIn.addEventListener('input', () => (signIn.elements.namedItem('token') as HTMLInputElement).setCustomValidity(''));

/** Links to the pages that this server serves. */
function showPages() {
  const nav = byId('pages');
  nav.setAttribute('aria-label', pagesLabel);
  nav.hidden = config.pages.length < 2;
  nav.firstElementChild?.append(
    ...config.pages.map(({ title, path }) => {
      const current = path === window.location.pathname && { 'aria-current': 'page' };
      return h('li', {}, h('a', { href: path, ...current }, title));
    }),
  );
}

showPages();
open(config.token || (sessionStorage.getItem(tokenKey) ?? ''));
