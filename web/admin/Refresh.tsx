import { useState } from 'react';

import { formatClock } from '../common/money';

/** The button that looks again. What failed is said by the view. */
export function Refresh({ refetch }: { refetch: () => Promise<unknown> }) {
  const [busy, setBusy] = useState(false);
  const [asOf, setAsOf] = useState<Date | null>(null);
  const look = async () => {
    setBusy(true);
    await refetch().then(
      () => setAsOf(new Date()),
      () => {},
    );
    setBusy(false);
  };
  return (
    <div className="row">
      <button type="button" className="secondary" disabled={busy} onClick={() => void look()}>
        Look again
      </button>
      <p role="status" className="quiet">
        {asOf && `As of ${formatClock(asOf)}.`}
      </p>
    </div>
  );
}
