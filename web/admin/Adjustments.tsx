import { More } from '../common/More';
import { formatCount, formatTime } from '../common/money';
import { Failure } from '../common/Outcome';
import { AdjustmentsDocument, type Family } from './gql/operations';
import { pageSize, Table, Total } from './List';
import { Refresh } from './Refresh';
import { hrefOf } from './route';
import { useView } from './useView';

/** What administrators have corrected by hand. */
export function Adjustments() {
  const { data, error, loading, fetchMore, refetch } = useView(AdjustmentsDocument, { first: pageSize });
  const adjustments = data?.adjustments;
  return (
    <>
      <Refresh refetch={refetch} />
      <Failure error={error} loading={loading && !data} />
      <Total total={adjustments?.totalCount} what="adjustments" />
      <Table label="Adjustments" head={['When', 'What', 'Of', 'By how much', 'Why', 'By whom']} empty="Nobody has corrected anything.">
        {adjustments?.edges.map(({ cursor, node }) => (
          <tr key={cursor}>
            <td>{formatTime(node.createdAt)}</td>
            <td>{subjects[node.family].what}</td>
            <td>
              <Subject family={node.family} id={node.subjectId} variantId={node.variantId} />
            </td>
            <td className="figure">{formatCount(node.delta)}</td>
            <td className="text">{node.reason}</td>
            <td>{node.administratorId}</td>
          </tr>
        ))}
      </Table>
      <p className="quiet">Stock in units, points, and money in minor units, such as cents.</p>
      <More pageInfo={adjustments?.pageInfo} what="adjustments" fetchMore={(after) => fetchMore({ variables: { after } })} />
    </>
  );
}

/** What is corrected of a family, and the view that shows it. */
const subjects: Record<Family, { what: string; view?: string }> = {
  STOCK: { what: 'stock', view: 'products' },
  POINTS: { what: 'points', view: 'customers' },
  ACCOUNTS: { what: 'money' },
  COUPONS: { what: 'coupons', view: 'coupons' },
};

function Subject({ family, id, variantId }: { family: Family; id: string; variantId?: string | null }) {
  const { view } = subjects[family];
  return view ? <a href={hrefOf(view, id, { variant: variantId ?? '' })}>{id}</a> : <code>{id}</code>;
}
