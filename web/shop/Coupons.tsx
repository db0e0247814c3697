import { useApolloClient, useQuery } from '@apollo/client/react';

import { formatCount } from '../common/money';
import { More } from '../common/More';
import { Failure, Outcome } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { addCouponIssue } from './cache';
import { CouponsDocument, type CouponsQuery, IssueCouponDocument } from './gql/operations';

type Coupon = NonNullable<CouponsQuery['coupons']>['edges'][number]['node'];

const pageSize = 12;

export function Coupons() {
  const client = useApolloClient();
  const { data, error, fetchMore } = useQuery(CouponsDocument, {
    variables: { first: pageSize },
    fetchPolicy: 'cache-and-network',
    errorPolicy: 'all',
  });
  const issue = useOperation(IssueCouponDocument, (d) => d.issueCoupon);
  const take = async (coupon: Coupon) => {
    const payload = await issue.run({ couponId: coupon.id });
    if (payload?.couponIssue && data?.me) {
      addCouponIssue(client.cache, data.me.id, payload.couponIssue.id);
    }
  };
  const held = data?.me?.couponIssues?.nodes;
  return (
    <>
      <Failure error={error} />
      <Outcome error={issue.error} payload={issue.payload}>
        You have taken “{issue.payload?.couponIssue?.coupon.name}”.
      </Outcome>
      <ul className="cards">
        {data?.coupons?.edges.map(({ node: coupon }) => (
          <li key={coupon.id}>
            <article className="card">
              <h2>{coupon.name}</h2>
              <p>
                {formatCount(coupon.issued)} of {formatCount(coupon.quota)} taken
              </p>
              <p className="quiet">At most {coupon.perUserLimit} for each customer.</p>
              <button type="button" disabled={issue.busy} onClick={() => take(coupon)} aria-label={`Take ${coupon.name}`}>
                Take one
              </button>
            </article>
          </li>
        ))}
      </ul>
      <More pageInfo={data?.coupons?.pageInfo} what="coupons" fetchMore={(after) => fetchMore({ variables: { after } })} />
      <h2>Yours</h2>
      {held?.length === 0 && <p className="quiet">None yet.</p>}
      <ul className="plain" aria-label="Your coupons">
        {held?.map((i) => (
          <li key={i.id} className="row spread">
            <span>{i.coupon.name}</span>
            <span className="quiet">{i.status === 'ISSUED' ? 'to spend' : 'spent'}</span>
          </li>
        ))}
      </ul>
    </>
  );
}
