import type { ToConfirmFragment } from './gql/operations';

/** What the customer has to do for a payment that waits for it. */
export function Confirm({ attempt, after }: { attempt: ToConfirmFragment; after: string }) {
  const url = attempt.action?.redirectUrl;
  return (
    <>
      The payment waits for you to confirm it. {url && <a href={url}>Confirm the payment</a>} {after}
    </>
  );
}

/** Whether a payment waits for its customer. */
export function toConfirm(attempt: ToConfirmFragment | null | undefined): attempt is ToConfirmFragment {
  return attempt?.status === 'REQUIRES_ACTION';
}
