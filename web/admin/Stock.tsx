import { More } from '../common/More';
import { formatCount, formatTime } from '../common/money';
import { Failure } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { useConfirmation } from './Confirmation';
import { DeltaField, deltaOf, TextField } from './fields';
import { Form, textOf } from './Form';
import { StockAdjustDocument, StockHistoryDocument, type StockHistoryQuery, type VariantRowFragment } from './gql/operations';
import { pageSize, Table, words } from './List';
import { hrefOf } from './route';
import { useView } from './useView';

/** The stock of a variant, which has a name: to be corrected, and what has moved it. */
export function Stock({ name, variant }: { name: string; variant: VariantRowFragment }) {
  const adjust = useOperation(StockAdjustDocument, (d) => d.stockAdjust);
  const ask = useConfirmation();
  const { data, error, loading, fetchMore, refetch } = useView(StockHistoryDocument, { id: variant.id, first: pageSize });
  const submit = async (filled: FormData) => {
    const delta = deltaOf(textOf(filled, 'delta'));
    const agreed =
      !delta.startsWith('-') ||
      (await ask({
        title: `Take ${delta.slice(1)} of “${name}” out of stock?`,
        text: 'They cannot be ordered any more. The history keeps it, with the reason and your name.',
        action: 'Take out of stock',
      }));
    const payload = agreed ? await adjust.run({ variantId: variant.id, delta, reason: textOf(filled, 'reason') }) : undefined;
    if (payload) {
      await refetch().catch(() => {}); // the view says that it could not be read
    }
    return payload;
  };
  const history = data?.productVariant?.stockHistory;
  return (
    <>
      <section aria-labelledby="stock-title">
        <h2 id="stock-title">Stock{variant.title && ` of ${variant.title}`}: {formatCount(variant.stock?.available)}</h2>
        <Form
          label="Adjust the stock"
          action="Adjust"
          operation={adjust}
          onSubmit={submit}
          done={`There are ${formatCount(adjust.payload?.variant?.stock?.available)} now.`}
        >
          <DeltaField label="How many more, or fewer" name="delta" help="Such as 5, or -5. What is ordered is not in stock any more." />
          <TextField label="Reason" name="reason" required maxLength={200} help="For the records." />
        </Form>
      </section>
      <section aria-labelledby="history-title">
        <h2 id="history-title">Stock history</h2>
        <Failure error={error} loading={loading && !data} />
        <Table label="Stock history" head={['When', 'What', 'Moved', 'Then there were', 'From']} empty="Nothing has moved it.">
          {history?.edges.map(({ node }) => (
            <tr key={node.id}>
              <td>{formatTime(node.createdAt)}</td>
              <td>{words(node.kind)}</td>
              <td className="figure">{signed(node.delta)}</td>
              <td className="figure">{formatCount(node.amountAfter)}</td>
              <td className="text">
                <Source source={node.source} />
              </td>
            </tr>
          ))}
        </Table>
        <More pageInfo={history?.pageInfo} what="history" fetchMore={(after) => fetchMore({ variables: { after } })} />
      </section>
    </>
  );
}

type Line = NonNullable<NonNullable<StockHistoryQuery['productVariant']>['stockHistory']>['edges'][number]['node'];

function Source({ source }: { source: Line['source'] }) {
  switch (source?.__typename) {
    case 'Order':
      return <a href={hrefOf('orders', source.id)}>{source.id}</a>;
    case 'Hold':
      return <code>{source.id}</code>;
    case 'Adjustment':
      return `${source.reason || 'no reason'}, by ${source.administratorId}`;
    default:
      return null;
  }
}

const signed = (delta: string) => (delta.startsWith('-') ? formatCount(delta) : `+${formatCount(delta)}`);
