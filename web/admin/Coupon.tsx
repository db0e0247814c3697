import { useApolloClient } from '@apollo/client/react';

import { formatCount, formatTime } from '../common/money';
import { Failure, Outcome } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { useConfirmation } from './Confirmation';
import { Conflict } from './Conflict';
import { discountOf } from './Coupons';
import { localMoment, MomentField, momentOf, TextField, useCurrency } from './fields';
import { Form, textOf } from './Form';
import { CouponDetailsDocument, type CouponDetailsFragment, CouponResumeDocument, CouponStopDocument, CouponUpdateDocument } from './gql/operations';
import { Badge } from './List';
import { Refresh } from './Refresh';
import { useEditing } from './useEditing';
import { useView } from './useView';

/** One coupon, and what can be done about it. */
export function Coupon({ id }: { id: string }) {
  const { data, error, loading, refetch } = useView(CouponDetailsDocument, { id });
  const coupon = data?.coupon;
  return (
    <>
      <Failure error={error} loading={loading && !data} />
      {data && !coupon && !error && <p role="status">There is no coupon {id}.</p>}
      {(error || (data && !coupon)) && <Refresh refetch={refetch} />}
      {coupon && (
        <>
          <Facts coupon={coupon} />
          <CouponEdit coupon={coupon} />
        </>
      )}
    </>
  );
}

function Facts({ coupon }: { coupon: CouponDetailsFragment }) {
  const stop = useOperation(CouponStopDocument, (d) => d.couponStop);
  const resume = useOperation(CouponResumeDocument, (d) => d.couponResume);
  const ask = useConfirmation();
  const currency = useCurrency();
  const halt = async () => {
    const agreed = await ask({
      title: `Stop “${coupon.name}”?`,
      text: 'Nobody can take or spend it until it is resumed, customers who have taken one before included.',
      action: 'Stop the coupon',
    });
    if (agreed) {
      resume.reset();
      await stop.run({ id: coupon.id });
    }
  };
  const goOn = async () => {
    stop.reset();
    await resume.run({ id: coupon.id });
  };
  return (
    <section className="card facts" aria-labelledby="facts-title">
      <h2 id="facts-title">
        {coupon.name} <Badge status={coupon.stoppedAt ? 'STOPPED' : 'ON_OFFER'} />
      </h2>
      <dl>
        <dt>Discount</dt>
        <dd>{discountOf(coupon, currency)}</dd>
        <dt>Taken</dt>
        <dd>
          {formatCount(coupon.issued)} of {formatCount(coupon.quota)}, at most {coupon.perUserLimit} by one customer
        </dd>
        <dt>Created</dt>
        <dd>
          {formatTime(coupon.createdAt)}, version {coupon.version}
        </dd>
        {coupon.stoppedAt && (
          <>
            <dt>Stopped</dt>
            <dd>{formatTime(coupon.stoppedAt)}</dd>
          </>
        )}
      </dl>
      <div className="row">
        {coupon.stoppedAt ? (
          <button type="button" disabled={resume.busy} onClick={() => void goOn()}>
            Resume the coupon
          </button>
        ) : (
          <button type="button" className="secondary" disabled={stop.busy} onClick={() => void halt()}>
            Stop the coupon
          </button>
        )}
      </div>
      <Outcome error={stop.error ?? resume.error} payload={stop.payload ?? resume.payload}>
        {coupon.stoppedAt ? 'It is stopped.' : 'It is on offer.'}
      </Outcome>
    </section>
  );
}

const momentText = (time?: string | null) => (time ? formatTime(time) : 'always');

/** Whether all that the form shows is the same: then one version is as good as the other, such as after the coupon was stopped. */
const sameFields = (a: CouponDetailsFragment, b: CouponDetailsFragment) =>
  a.name === b.name && a.validFrom === b.validFrom && a.validUntil === b.validUntil;

/** Changes a coupon. */
function CouponEdit({ coupon }: { coupon: CouponDetailsFragment }) {
  const client = useApolloClient();
  const update = useOperation(CouponUpdateDocument, (d) => d.couponUpdate);
  const { base, stored, round, version, startFrom, settle } = useEditing(coupon, sameFields);
  const submit = async (filled: FormData) => {
    /** Undefined leaves a moment as it is: a field holds it to the minute only. */
    const changed = (name: 'validFrom' | 'validUntil') => {
      const text = textOf(filled, name);
      return text === localMoment(base[name]) ? undefined : momentOf(text);
    };
    const name = textOf(filled, 'name');
    const payload = await update.run({
      id: coupon.id,
      version,
      name: name === base.name ? undefined : name,
      validFrom: changed('validFrom'),
      validUntil: changed('validUntil'),
    });
    await settle(payload, payload?.coupon, async () => {
      const { data } = await client.query({ query: CouponDetailsDocument, variables: { id: coupon.id }, fetchPolicy: 'network-only' });
      return data?.coupon;
    });
    return payload;
  };
  return (
    <section aria-labelledby="edit-title">
      <h2 id="edit-title">Change</h2>
      <p className="quiet">Discount, number and limit are fixed: customers have taken the coupon for what it is.</p>
      <Form label="Change the coupon" action="Save" operation={update} onSubmit={submit} keep done="Saved.">
        {stored && (
          <Conflict
            differences={[
              ['Name', base.name, stored.name],
              ['Valid from', momentText(base.validFrom), momentText(stored.validFrom)],
              ['Valid until', momentText(base.validUntil), momentText(stored.validUntil)],
              ['Stopped', base.stoppedAt ? 'yes' : 'no', stored.stoppedAt ? 'yes' : 'no'],
            ]}
            onTake={() => {
              startFrom(stored);
              update.reset();
            }}
          />
        )}
        <div key={round} className="stack">
          <TextField label="Name" name="name" required maxLength={200} defaultValue={base.name} />
          <MomentField label="Valid from" name="validFrom" defaultValue={localMoment(base.validFrom)} help="Your time. Without it, always." />
          <MomentField label="Valid until" name="validUntil" defaultValue={localMoment(base.validUntil)} help="Your time. Without it, always." />
        </div>
      </Form>
    </section>
  );
}
