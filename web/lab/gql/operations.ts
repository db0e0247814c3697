/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
/** How far an experiment has come. */
export type ExperimentState =
  /** A server or a store failed. */
  | 'FAILED'
  /** All of it has been run. */
  | 'FINISHED'
  /** It runs. */
  | 'RUNNING'
  /** It was ended before its time. */
  | 'STOPPED'
  /** It has been told to end, and its servers are ending. */
  | 'STOPPING';

/** What to run: a plan that comes with holdfast, or what is chosen here. What is left out is as in holdfast's default plan. */
export type StartExperimentInput = {
  /** Customers who ask at the same time: 1 to experiments.maxClients. */
  clients?: number | null | undefined;
  /** How long each run is measured, in milliseconds. All runs together take no longer than experiments.maxDuration. */
  durationMs?: number | null | undefined;
  /** The name of a shipped plan, such as transfers. Nothing else may be given then. */
  plan?: string | null | undefined;
  /** How often all runs are repeated, interleaved: 1 to 100. From two rounds on there are intervals, and so comparisons. */
  rounds?: number | null | undefined;
  /** The same seed asks for the same things in the same order; 0 or more. */
  seed?: string | null | undefined;
  /** The strategies to compare, each once; all by default. */
  strategies?: Array<Strategy> | null | undefined;
  /** What customers do: flash-sale, mixed-cart, coupon-rush, points, transfers, checkout, catalogue, mixed-all or adversary. */
  workload?: string | null | undefined;
};

/** Which experiment to end. */
export type StopExperimentInput = {
  /** The identifier of the experiment; without it, the newest. */
  id?: string | null | undefined;
};

/** How changes of the same number are kept apart. */
export type Strategy =
  /** No lock: one conditional UPDATE, decided by the database. */
  | 'ATOMICSQL'
  /** Row locks, and one commit for all changes that have come in during the commit before. */
  | 'GROUPCOMMIT'
  /** No lock: a script admits the change in Redis, and the database follows. */
  | 'LUA'
  /** Not at all: the control of experiments, which loses updates. */
  | 'NONE'
  /** No lock: versions are compared on writing, and the loser tries again. */
  | 'OPTIMISTIC'
  /** A Redis lock whose release is announced to those who wait. */
  | 'PUBSUB'
  /** No lock: one worker serves a waiting line, in the order of arrival. */
  | 'QUEUE'
  /** Redsync's lock, over one Redis node or a majority of several. */
  | 'REDSYNC'
  /** The database's row locks, SELECT ... FOR UPDATE in key order. */
  | 'ROWLOCK'
  /** A Redis lock of one SET NX PX command, asked for again until it is free. */
  | 'SETNX';

export type ExperimentsQueryVariables = Exact<{ [key: string]: never; }>;


export type ExperimentsQuery = { experiments: Array<{ id: string, name: string, state: ExperimentState, startedAt: string }> | null };

export type StartExperimentMutationVariables = Exact<{
  input: StartExperimentInput;
}>;


export type StartExperimentMutation = { startExperiment: { experiment: { id: string } | null, userErrors: Array<
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
    > } | null };

export type StopExperimentMutationVariables = Exact<{
  input: StopExperimentInput;
}>;


export type StopExperimentMutation = { stopExperiment: { experiment: { id: string, state: ExperimentState } | null, userErrors: Array<
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
      | { message: string }
    > } | null };

export type ExperimentProgressSubscriptionVariables = Exact<{
  id: string;
}>;


export type ExperimentProgressSubscription = { experimentProgress: { id: string, name: string, about: string | null, state: ExperimentState, error: string | null, progress: { run: number, runs: number, round: number, workload: string, strategy: Strategy, operations: string } | null, report: { conclusion: Array<string>, runs: Array<{ workload: string, strategy: Strategy, round: number, findings: Array<{ kind: string, subject: string, text: string }> }>, cases: Array<{ workload: string, strategy: Strategy, setting: string, successes: string, refusals: string, violations: number, damage: string, audited: boolean, perSecond: { median: number, low: number, high: number }, p50Ms: { median: number, low: number, high: number }, p99Ms: { median: number, low: number, high: number } }> } } };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}

export const ExperimentsDocument = new TypedDocumentString(`
    query Experiments {
  experiments {
    id
    name
    state
    startedAt
  }
}
    `) as unknown as TypedDocumentString<ExperimentsQuery, ExperimentsQueryVariables>;
export const StartExperimentDocument = new TypedDocumentString(`
    mutation StartExperiment($input: StartExperimentInput!) {
  startExperiment(input: $input) {
    experiment {
      id
    }
    userErrors {
      message
    }
  }
}
    `) as unknown as TypedDocumentString<StartExperimentMutation, StartExperimentMutationVariables>;
export const StopExperimentDocument = new TypedDocumentString(`
    mutation StopExperiment($input: StopExperimentInput!) {
  stopExperiment(input: $input) {
    experiment {
      id
      state
    }
    userErrors {
      message
    }
  }
}
    `) as unknown as TypedDocumentString<StopExperimentMutation, StopExperimentMutationVariables>;
export const ExperimentProgressDocument = new TypedDocumentString(`
    subscription ExperimentProgress($id: ID!) {
  experimentProgress(id: $id) {
    id
    name
    about
    state
    error
    progress {
      run
      runs
      round
      workload
      strategy
      operations
    }
    report {
      conclusion
      runs {
        workload
        strategy
        round
        findings {
          kind
          subject
          text
        }
      }
      cases {
        workload
        strategy
        setting
        successes
        refusals
        perSecond {
          median
          low
          high
        }
        p50Ms {
          median
          low
          high
        }
        p99Ms {
          median
          low
          high
        }
        violations
        damage
        audited
      }
    }
  }
}
    `) as unknown as TypedDocumentString<ExperimentProgressSubscription, ExperimentProgressSubscriptionVariables>;