import { useState } from 'react';

interface Props {
  pageInfo?: { hasNextPage: boolean; endCursor?: string | null };
  what: string;
  fetchMore: (after: string) => Promise<unknown>;
}

/** The button that continues a list. */
export function More({ pageInfo, what, fetchMore }: Props) {
  const [busy, setBusy] = useState(false);
  const cursor = pageInfo?.hasNextPage ? pageInfo.endCursor : null;
  if (!cursor) {
    return null;
  }
  const more = async () => {
    setBusy(true);
    await fetchMore(cursor).catch(() => {}); // The button stays, to be pressed again.
    setBusy(false);
  };
  return (
    <button type="button" className="secondary" onClick={more} disabled={busy}>
      Show more {what}
    </button>
  );
}
