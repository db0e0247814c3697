import { useState } from 'react';

import type { AccountBalanceFragment, PaymentInput } from './gql/operations';
import { formatCount, formatMoney } from './money';

interface Props {
  wallet: { balance: string };
  accounts: readonly AccountBalanceFragment[];
  /** null means: later. */
  onChange: (payment: PaymentInput | null) => void;
}

export function PaymentChoice({ wallet, accounts, onChange }: Props) {
  const [chosen, setChosen] = useState('POINTS');
  const choose = (value: string) => {
    setChosen(value);
    onChange(paymentOf(value));
  };
  return (
    <label className="field">
      <span>Payment</span>
      <select value={chosen} onChange={(e) => choose(e.target.value)}>
        <option value="POINTS">Points ({formatCount(wallet.balance)})</option>
        {accounts.map((account) => (
          <option key={account.id} value={account.id}>
            {account.name} ({formatMoney(account.balance)})
          </option>
        ))}
        <option value="CARD">Card</option>
        <option value="">Later</option>
      </select>
    </label>
  );
}

function paymentOf(value: string): PaymentInput | null {
  switch (value) {
    case '':
      return null;
    case 'POINTS':
    case 'CARD':
      return { method: value };
    default:
      return { method: 'ACCOUNT', accountId: value };
  }
}
