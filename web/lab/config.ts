import type { Page } from '../common/site';
import type { Strategy } from './gql/operations';

/** What the server tells the page; see LabOptions in lab.go. */
export interface Config {
  endpoint: string;
  /** A token of the demo administrator, from a development server; empty otherwise. */
  token: string;
  workloads: Choice[];
  plans: Choice[];
  strategies: string[];
  maxClients: number;
  maxMilliseconds: number;
  /** The pages that this server serves. */
  pages: Page[];
}

export interface Choice {
  name: string;
  title: string;
  about: string;
}

/** Reads the JSON that the server wrote into the page. The defaults serve the development server of Vite. */
export function readConfig(): Config {
  const text = document.getElementById('holdfast-config')?.textContent ?? '{}';
  const defaults: Config = {
    endpoint: '/graphql',
    token: '',
    workloads: [{ name: 'transfers', title: '', about: 'Transfers of 1 between a few accounts.' }],
    plans: [],
    strategies: ['none', 'rowlock'],
    maxClients: 200,
    maxMilliseconds: 900_000,
    pages: [],
  };
  return { ...defaults, ...(JSON.parse(text) as Partial<Config>) };
}

/** The schema has strategies in capitals, everything else has them in small letters. */
export function strategyOf(name: string): Strategy {
  return name.toUpperCase() as Strategy;
}

export function nameOf(strategy: Strategy): string {
  return strategy.toLowerCase();
}
