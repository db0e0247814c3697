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

/** Reads what LimitFields hold. */
export const limitOf = (filled: FormData) => ({
  quantity: textOf(filled, 'quantity') || '0',
  periodHours: Number(textOf(filled, 'periodHours')),
});
