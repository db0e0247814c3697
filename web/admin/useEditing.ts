import { useState } from 'react';

import type { Refusal } from '../common/Outcome';

/**
 * Changes a row from the version that was shown. If somebody else has changed it meanwhile, nothing is lost: the form says how what is stored
 * differs from what it began with, and the next try goes on from what is stored. isSame tells whether all that the form shows is the same:
 * then one version is as good as the other, such as after the row was taken off sale.
 */
export function useEditing<Row extends { version: number }>(row: Row, isSame: (a: Row, b: Row) => boolean) {
  const [base, setBase] = useState(row);
  const [stored, setStored] = useState<Row | null>(null);
  const [round, setRound] = useState(0);
  const startFrom = (next: Row) => {
    setBase(next);
    setStored(null);
    setRound((n) => n + 1);
  };
  /** Goes on after an answer: from the row that was saved, or, after a conflict, with the one that reread finds. */
  const settle = async (
    payload: { userErrors: readonly Refusal[] } | null,
    saved: Row | null | undefined,
    reread: () => Promise<Row | null | undefined>,
  ) => {
    if (payload?.userErrors.some((e) => e.code === 'VERSION_CONFLICT')) {
      setStored((await reread()) ?? null);
    } else if (saved && payload?.userErrors.length === 0) {
      startFrom(saved);
    }
  };
  return {
    /** What the form began with. */
    base,
    /** What somebody else has stored since; null if nobody has. */
    stored,
    /** Changes when the fields have to begin anew. */
    round,
    /** The version to send. */
    version: (stored ?? (isSame(row, base) ? row : base)).version,
    startFrom,
    settle,
  };
}
