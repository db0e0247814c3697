import { NumberField } from './fields';
import { textOf } from './Form';

interface Props {
  limit?: { quantity: string; periodHours?: number | null } | null;
}

/** How much of a product one customer may order. */
export function LimitFields({ limit }: Props) {
  return (
    <>
      <NumberField
        label="At most for each customer"
        name="quantity"
        required
        min={0}
        max={1_000_000}
        defaultValue={limit?.quantity ?? '0'}
        help="0: as many as there are."
      />
      <NumberField
        label="In so many hours"
        name="periodHours"
        required
        min={0}
        max={87_840}
        defaultValue={String(limit?.periodHours ?? 0)}
        help="0: for ever."
      />
    </>
  );
}

/** A limit for people. */
export const limitText = ({ limit }: Props) => (limit ? `${limit.quantity} in ${limit.periodHours ? `${limit.periodHours} hours` : 'all'}` : 'none');

/** Whether two limits are the same; none is one of 0. */
export const sameLimit = (a: { quantity: string; periodHours?: number | null }, b: Props['limit']) =>
  a.quantity === (b?.quantity ?? '0') && (a.periodHours ?? 0) === (b?.periodHours ?? 0);

/** Reads what LimitFields hold. */
export const limitOf = (filled: FormData) => ({
  quantity: textOf(filled, 'quantity') || '0',
  periodHours: Number(textOf(filled, 'periodHours')),
});
