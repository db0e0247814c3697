import { type Config, strategyOf } from './config';
import { byId, h } from './dom';
import type { StartExperimentInput } from './gql/operations';

/** The form that says what to run. */
export class Form {
  readonly element = byId<HTMLFormElement>('experiment');
  private readonly what = this.element.elements.namedItem('what') as HTMLSelectElement;
  private readonly choices = byId<HTMLFieldSetElement>('choices');
  private readonly boxes: HTMLInputElement[];

  constructor(private readonly config: Config) {
    const option = (kind: string, name: string, title: string) => h('option', { value: `${kind}/${name}` }, title || name);
    this.what.append(
      h('optgroup', { label: 'Workloads' }, ...config.workloads.map((w) => option('workload', w.name, w.title))),
      h('optgroup', { label: 'Plans that come with holdfast' }, ...config.plans.map((p) => option('plan', p.name, p.title))),
    );
    // What the command runs as well: money that is lost is seen best.
    this.what.value = config.workloads.some((w) => w.name === 'transfers') ? 'workload/transfers' : this.what.value;
    this.boxes = config.strategies.map((name) =>
      h('input', { type: 'checkbox', name: 'strategies', value: name, checked: ['none', 'rowlock', 'lua'].includes(name) }),
    );
    byId('strategies').append(...this.boxes.map((box) => h('label', {}, box, box.value)));
    this.number('clients').max = String(config.maxClients);
    this.number('durationMs').max = String(config.maxMilliseconds);
    this.what.addEventListener('change', () => this.chosen());
    this.element.addEventListener('change', () => this.check());
    this.chosen();
  }

  input(): StartExperimentInput {
    const { kind, name } = this.choice();
    if (kind === 'plan') {
      return { plan: name };
    }
    return {
      workload: name,
      strategies: this.boxes.filter((box) => box.checked).map((box) => strategyOf(box.value)),
      clients: this.number('clients').valueAsNumber,
      durationMs: this.number('durationMs').valueAsNumber,
      rounds: this.number('rounds').valueAsNumber,
      seed: this.number('seed').value,
    };
  }

  private choice() {
    const [kind = '', name = ''] = this.what.value.split('/');
    return { kind, name };
  }

  /** A plan says everything: what it says is not to be chosen. */
  private chosen() {
    const { kind, name } = this.choice();
    const list = kind === 'plan' ? this.config.plans : this.config.workloads;
    byId('about').textContent = list.find((choice) => choice.name === name)?.about ?? '';
    this.choices.disabled = this.choices.hidden = kind === 'plan';
    this.check();
  }

  private check() {
    const none = !this.boxes.some((box) => box.checked);
    this.boxes[0]?.setCustomValidity(none ? 'Pick at least one strategy.' : '');
  }

  private number(name: string) {
    return this.element.elements.namedItem(name) as HTMLInputElement;
  }
}
