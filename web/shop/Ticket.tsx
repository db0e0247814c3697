import { useApolloClient, useQuery } from '@apollo/client/react';
import { useEffect } from 'react';

import { formatMoney } from '../common/money';
import { QueueTicketDocument, QueueTicketUpdatedDocument } from './gql/operations';
import { useLive } from './useLive';

const pollInterval = 1_000;

/** A place in the waiting line, until the order has been served. */
export function Ticket({ id }: { id: string }) {
  const client = useApolloClient();
  // The mutation, the subscription and this query share one object in the cache.
  const { data, startPolling, stopPolling } = useQuery(QueueTicketDocument, { variables: { id } });
  const ticket = data?.queueTicket;
  const status = ticket?.status;
  const waiting = status === 'WAITING' || status === 'SERVING';
  const live = useLive(QueueTicketUpdatedDocument, { id }, !waiting);

  useEffect(() => {
    if (waiting && !live) {
      startPolling(pollInterval);
      return stopPolling;
    }
  }, [waiting, live, startPolling, stopPolling]);
  useEffect(() => {
    if (status && !waiting) {
      // A ticket tells the order, and not what the order has left of stock, coupons and money.
      void client.refetchQueries({ include: 'active' });
    }
  }, [client, status, waiting]);

  if (!ticket) {
    return null;
  }
  return (
    <div role="status" className="card ticket">
      {ticket.status === 'SERVING' && <p>Your order is being placed.</p>}
      {ticket.status === 'WAITING' && (
        <p>
          Your place: <strong>{ticket.position}</strong>
          {ticket.etaMs != null && <>, about {Math.max(1, Math.round(ticket.etaMs / 1000))} s</>}
        </p>
      )}
      {ticket.status === 'DONE' && (
        <p>
          Your order was served{ticket.result && <>: {formatMoney(ticket.result.total)}</>}.{' '}
          <a href="#orders">See your orders</a>
        </p>
      )}
      {ticket.status === 'EXPIRED' && <p>Your place was given away, because nobody looked at it for too long.</p>}
      {ticket.userErrors.map((e) => (
        <p key={e.code + e.message}>
          {e.message} <code>{e.code}</code>
        </p>
      ))}
    </div>
  );
}
