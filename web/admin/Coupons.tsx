import { useState } from 'react';

import { More } from '../common/More';
import { formatCount, formatMoney, formatTime } from '../common/money';
import { Failure } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { type Currency, MomentField, MoneyField, minorOf, momentOf, NumberField, TextField, useCurrency } from './fields';
import { Form, textOf } from './Form';
import { CouponCreateDocument, type CouponDetailsFragment, CouponsDocument, type DiscountKind } from './gql/operations';
import { Badge, pageSize, Table, Total } from './List';
import { Refresh } from './Refresh';
import { hrefOf } from './route';
import { useView } from './useView';

export function Coupons() {
  const { data, error, loading, fetchMore, refetch } = useView(CouponsDocument, { first: pageSize });
  const currency = useCurrency();
  const coupons = data?.coupons;
  return (
    <>
      <Refresh refetch={refetch} />
      <Failure error={error} loading={loading && !data} />
      <Total total={coupons?.totalCount} what="coupons" />
      <Table label="Coupons" head={['Coupon', 'Discount', 'Taken', 'Valid from', 'Until', 'Status']} empty="There is none yet.">
        {coupons?.edges.map(({ node: coupon }) => (
          <tr key={coupon.id}>
            <td>
              <a href={hrefOf('coupons', coupon.id)}>{coupon.name}</a>
            </td>
            <td className="figure">{discountOf(coupon, currency)}</td>
            <td className="figure">
              {formatCount(coupon.issued)} of {formatCount(coupon.quota)}
            </td>
            <td>{coupon.validFrom ? formatTime(coupon.validFrom) : 'always'}</td>
            <td>{coupon.validUntil ? formatTime(coupon.validUntil) : 'always'}</td>
            <td>
              <Badge status={coupon.stoppedAt ? 'STOPPED' : 'ON_OFFER'} />
            </td>
          </tr>
        ))}
      </Table>
      <More pageInfo={coupons?.pageInfo} what="coupons" fetchMore={(after) => fetchMore({ variables: { after } })} />
      <section aria-labelledby="new-title">
        <h2 id="new-title">More coupons</h2>
        <details>
          <summary>Create a coupon</summary>
          <CouponCreate onCreated={() => void refetch().catch(() => {})} />
        </details>
      </section>
    </>
  );
}

export function discountOf({ discountKind, discountValue }: CouponDetailsFragment, currency: Currency): string {
  return discountKind === 'PERCENT' ? `${discountValue} %` : formatMoney({ ...currency, amountMinor: discountValue });
}

function CouponCreate({ onCreated }: { onCreated: () => void }) {
  const create = useOperation(CouponCreateDocument, (d) => d.couponCreate);
  const currency = useCurrency();
  const [discountKind, setKind] = useState<DiscountKind>('FIXED');
  const submit = async (filled: FormData) => {
    const value = textOf(filled, 'discountValue');
    const payload = await create.run({
      name: textOf(filled, 'name'),
      discountKind,
      discountValue: discountKind === 'PERCENT' ? value : minorOf(value, currency),
      quota: textOf(filled, 'quota'),
      perUserLimit: Number(textOf(filled, 'perUserLimit')),
      validFrom: momentOf(textOf(filled, 'validFrom')) ?? undefined,
      validUntil: momentOf(textOf(filled, 'validUntil')) ?? undefined,
    });
    if (payload?.coupon) {
      onCreated();
    }
    return payload;
  };
  const made = create.payload?.coupon;
  return (
    <Form
      label="Create a coupon"
      action="Create"
      operation={create}
      onSubmit={submit}
      done={made && <>“{made.name}” is on offer. <a href={hrefOf('coupons', made.id)}>Open it</a></>}
    >
      <TextField label="Name" name="name" required maxLength={200} />
      <label className="field">
        <span>Discount</span>
        <select value={discountKind} onChange={(event) => setKind(event.target.value as DiscountKind)}>
          <option value="FIXED">An amount</option>
          <option value="PERCENT">A share of the sum</option>
        </select>
      </label>
      {discountKind === 'PERCENT' ? (
        <NumberField key="percent" label="Percent" name="discountValue" required min={1} max={100} />
      ) : (
        <MoneyField key="fixed" label="Amount" name="discountValue" required currency={currency} />
      )}
      <NumberField label="How many there are" name="quota" required min={1} />
      <NumberField label="How many one customer may take" name="perUserLimit" required min={1} defaultValue="1" />
      <MomentField label="Valid from" name="validFrom" help="Your time. Without it, from now on." />
      <MomentField label="Valid until" name="validUntil" help="Your time. Without it, always." />
    </Form>
  );
}
