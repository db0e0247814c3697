import { createContext, useContext, useState } from 'react';

import type { VariantCardFragment } from './gql/operations';

export interface Line {
  /** The name of the product. */
  name: string;
  variant: VariantCardFragment;
  quantity: number;
}

/** What outlives a look at another view: the basket, and the place in the waiting line, which is lost unless watched. */
export interface Purchase {
  lines: Line[];
  setLines: (change: (before: Line[]) => Line[]) => void;
  ticketId: string | null;
  setTicketId: (id: string | null) => void;
}

export const PurchaseContext = createContext<Purchase | null>(null);

export function usePurchaseState(): Purchase {
  const [lines, setLines] = useState<Line[]>([]);
  const [ticketId, setTicketId] = useState<string | null>(null);
  return { lines, setLines, ticketId, setTicketId };
}

export function usePurchase(): Purchase {
  const purchase = useContext(PurchaseContext);
  if (!purchase) {
    throw new Error('usePurchase belongs below Store');
  }
  return purchase;
}
