import type { AccountBalanceFragment, PaymentInput, PaymentMethod } from './gql/operations';
import { formatCount, formatMoney } from './money';

interface Props {
  wallet: { balance?: string | null };
  accounts: readonly AccountBalanceFragment[];
  /** The methods that the shop takes. */
  methods: readonly PaymentMethod[];
  chosen: string;
  onChange: (chosen: string) => void;
}

/** What was not chosen yet is the first method that the shop takes and that needs no further choice. */
export function firstChoice(methods: readonly PaymentMethod[]): string {
  return methods.find((method) => method !== 'ACCOUNT') ?? '';
}

export function PaymentChoice({ wallet, accounts, methods, chosen, onChange }: Props) {
  return (
    <label className="field">
      <span>Payment</span>
      <select value={chosen} onChange={(e) => onChange(e.target.value)}>
        {methods.includes('POINTS') && <option value="POINTS">Points ({formatCount(wallet.balance)})</option>}
        {methods.includes('ACCOUNT') &&
          accounts.map((account) => (
            <option key={account.id} value={account.id}>
              {account.name} ({formatMoney(account.balance)})
            </option>
          ))}
        {methods.includes('CARD') && <option value="CARD">Card</option>}
        <option value="">Later</option>
      </select>
    </label>
  );
}

export function paymentOf(value: string): PaymentInput | null {
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
