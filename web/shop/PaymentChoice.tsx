import { formatCount, formatMoney } from '../common/money';
import type { AccountBalanceFragment, PaymentInput, PaymentMethod } from './gql/operations';

/**
 * The cards of the simulated gateway, by the tokens that it knows. Where a gateway takes money, its program in the browser makes a token of
 * the card that the customer types.
 */
const simulatedCards: Record<string, string> = {
  CARD: 'Card',
  pm_card_authenticationRequired: 'Card that has to be confirmed',
  pm_card_chargeDeclined: 'Card that is declined',
};

interface Props {
  wallet: { balance?: string | null };
  accounts: readonly AccountBalanceFragment[];
  /** The methods that the shop takes. */
  methods: readonly PaymentMethod[];
  simulated: boolean;
  chosen: string;
  onChange: (chosen: string) => void;
}

/** What was not chosen yet is the first method that the shop takes and that needs no further choice. */
export function firstChoice(methods: readonly PaymentMethod[]): string {
  return methods.find((method) => method !== 'ACCOUNT') ?? '';
}

export function PaymentChoice({ wallet, accounts, methods, simulated, chosen, onChange }: Props) {
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
        {methods.includes('CARD') && <CardOptions simulated={simulated} />}
        <option value="">Later</option>
      </select>
    </label>
  );
}

export function CardOptions({ simulated }: { simulated: boolean }) {
  const cards = Object.entries(simulatedCards);
  return (simulated ? cards : cards.slice(0, 1)).map(([card, name]) => (
    <option key={card} value={card}>
      {name}
    </option>
  ));
}

export function paymentOf(value: string): PaymentInput | null {
  switch (value) {
    case '':
      return null;
    case 'POINTS':
    case 'CARD':
      return { method: value };
    default:
      return value in simulatedCards ? { method: 'CARD', token: value } : { method: 'ACCOUNT', accountId: value };
  }
}
