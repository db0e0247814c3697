import { useMutation } from '@apollo/client/react';

import { formatCount, formatTime } from '../common/money';
import { Failure, Outcome } from '../common/Outcome';
import { JobsDocument, LocksDocument, type LocksQuery, ReconcileNowDocument, type RunFragment, SystemDocument, type SystemQuery } from './gql/operations';
import { Badge, Filters, Table } from './List';
import { Refresh } from './Refresh';
import { useView } from './useView';

/** How the shop is run at the moment: strategies, locks, what Redis and the database say, and the jobs. */
export function System({ query }: { query: URLSearchParams }) {
  const { data, error, loading, refetch } = useView(SystemDocument, { onlyMismatched: !query.has('repaired') });
  // By themselves: all together would cost more than one request may.
  const locks = useView(LocksDocument, {});
  const jobs = useView(JobsDocument, {});
  const look = () => Promise.all([refetch(), locks.refetch(), jobs.refetch()]);
  return (
    <>
      <Refresh refetch={look} />
      <Failure error={error ?? locks.error ?? jobs.error} loading={loading && !data} />
      <section aria-labelledby="strategies-title">
        <h2 id="strategies-title">Strategies</h2>
        <Table label="Strategies" head={['Family', 'Strategy', 'Warning']} empty="None.">
          {data?.strategies.map(({ family, strategy, warning }) => (
            <tr key={family}>
              <td>{family}</td>
              <td>{strategy}</td>
              <td className="text">{warning}</td>
            </tr>
          ))}
        </Table>
      </section>
      <section aria-labelledby="locks-title">
        <h2 id="locks-title">Locks</h2>
        <Locks locks={locks.data?.locks} />
      </section>
      <section aria-labelledby="drift-title">
        <h2 id="drift-title">Differences between Redis and the database</h2>
        <Reconcile onDone={() => void look().catch(() => {})} />
        <Filters view="system" label="Filter differences" query={query}>
          <label className="row">
            <input type="checkbox" name="repaired" value="yes" />
            <span>Repaired ones, too</span>
          </label>
        </Filters>
        <Drifts drifts={data?.stockDrift} />
      </section>
      <section aria-labelledby="jobs-title">
        <h2 id="jobs-title">Jobs</h2>
        <Runs runs={jobs.data?.schedulerRuns} />
      </section>
    </>
  );
}

function Locks({ locks }: { locks: LocksQuery['locks'] | undefined }) {
  return (
    <Table
      label="Locks"
      head={['Key', 'Holder', 'Since', 'Until', 'Fence', 'Waiting']}
      empty="None is held or waited for, or no strategy of this shop locks in Redis."
    >
      {locks?.map((lock) => (
        <tr key={lock.key}>
          <td>
            <code>{lock.key}</code>
          </td>
          <td>{lock.holder}</td>
          <td>{lock.since && formatTime(lock.since)}</td>
          <td>{lock.until && formatTime(lock.until)}</td>
          <td className="figure">{lock.fence}</td>
          <td className="text">{lock.waiting.join(', ')}</td>
        </tr>
      ))}
    </Table>
  );
}

function Drifts({ drifts }: { drifts: SystemQuery['stockDrift'] | undefined }) {
  return (
    <Table
      label="Differences between Redis and the database"
      head={['Seen', 'Balance', 'Redis', 'Expected', 'Database', 'Under way', 'State']}
      empty="None. Only families under LUA can drift."
    >
      {drifts?.map((drift) => (
        <tr key={drift.balance + drift.seenAt}>
          <td>{formatTime(drift.seenAt)}</td>
          <td>
            <code>{drift.balance}</code>
          </td>
          <td className="figure">{formatCount(drift.redis)}</td>
          <td className="figure">{formatCount(drift.expected)}</td>
          <td className="figure">{formatCount(drift.database)}</td>
          <td className="figure">{drift.inFlight}</td>
          <td>{drift.repaired ? 'repaired' : 'open'}</td>
        </tr>
      ))}
    </Table>
  );
}

/** Compares Redis with the database now. A repeat does no harm, so it needs no idempotency key. */
function Reconcile({ onDone }: { onDone: () => void }) {
  const [reconcile, { data, error, loading }] = useMutation(ReconcileNowDocument, { onCompleted: onDone });
  const payload = data?.reconcileNow ?? null;
  return (
    <>
      <div className="row">
        <button type="button" disabled={loading} onClick={() => void reconcile().catch(() => {})}>
          Compare now, and repair
        </button>
      </div>
      <Outcome error={error} payload={payload}>
        {payload?.run ? `Compared: ${countsOf(payload.run)}.` : 'There is nothing to compare.'}
      </Outcome>
    </>
  );
}

const countsOf = ({ result }: RunFragment) => result.map(({ name, value }) => `${name} ${formatCount(value)}`).join(', ') || 'nothing to do';

function Runs({ runs }: { runs: readonly RunFragment[] | null | undefined }) {
  return (
    <Table label="Runs of jobs" head={['Job', 'Began', 'Took', 'Instance', 'Did', 'Result']} empty="No job has run yet.">
      {runs?.map((run) => (
        <tr key={run.job + run.startedAt + run.instance}>
          <td>{run.job}</td>
          <td>{formatTime(run.startedAt)}</td>
          <td className="figure">{run.durationMs.toFixed(1)} ms</td>
          <td>{run.instance}</td>
          <td className="text">{countsOf(run)}</td>
          <td className="text">{run.error ? <><Badge status="FAILED" /> {run.error}</> : 'well'}</td>
        </tr>
      ))}
    </Table>
  );
}
