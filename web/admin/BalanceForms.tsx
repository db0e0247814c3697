import { useState } from 'react';

import { formatCount, formatMoney } from '../common/money';
import { useOperation } from '../common/useOperation';
import { useConfirmation } from './Confirmation';
import { AreaField, DeltaField, deltaOf, MoneyField, minorOf } from './fields';
import { Form, textOf } from './Form';
import { AccountAdjustDocument, type AccountRowFragment, PointsAdjustDocument } from './gql/operations';

/** Corrects the points of a customer. */
export function PointsAdjust({ customer }: { customer: { id: string; name: string } }) {
  const adjust = useOperation(PointsAdjustDocument, (d) => d.pointsAdjust);
  const ask = useConfirmation();
  const submit = async (filled: FormData) => {
    const delta = deltaOf(textOf(filled, 'delta'));
    const taken = delta.startsWith('-');
    const count = formatCount(delta.replace('-', ''));
    const agreed = await ask({
      title: taken ? `Take ${count} points from ${customer.name}?` : `Give ${count} points to ${customer.name}?`,
      text: 'The adjustments keep it, with the reason and your name.',
      action: taken ? 'Take the points' : 'Give the points',
    });
    return agreed ? adjust.run({ userId: customer.id, delta, reason: textOf(filled, 'reason') }) : undefined;
  };
  return (
    <Form
      label="Correct the points"
      action="Correct"
      operation={adjust}
      onSubmit={submit}
      done={`There are ${formatCount(adjust.payload?.wallet?.balance)} points now.`}
    >
      <DeltaField label="How many more, or fewer" name="delta" help="Such as 500, or -500." />
      <AreaField label="Reason" name="reason" required maxLength={500} />
    </Form>
  );
}

/** Corrects the money in an account. */
export function AccountAdjust({ accounts }: { accounts: readonly AccountRowFragment[] }) {
  const adjust = useOperation(AccountAdjustDocument, (d) => d.accountAdjust);
  const ask = useConfirmation();
  const [chosen, setChosen] = useState(accounts[0].id);
  const account = accounts.find(({ id }) => id === chosen) ?? accounts[0];
  const submit = async (filled: FormData) => {
    if (!account.balance) {
      return undefined; // the form is not there
    }
    const deltaMinor = minorOf(textOf(filled, 'deltaMinor'), account.balance);
    const taken = deltaMinor.startsWith('-');
    const amount = formatMoney({ ...account.balance, amountMinor: deltaMinor.replace('-', '') });
    const agreed = await ask({
      title: taken ? `Take ${amount} from the account ${account.name}?` : `Add ${amount} to the account ${account.name}?`,
      text: `It changes ${account.id}. The adjustments keep it, with the reason and your name.`,
      action: taken ? 'Take the money' : 'Add the money',
    });
    return agreed ? adjust.run({ accountId: account.id, deltaMinor, reason: textOf(filled, 'reason') }) : undefined;
  };
  if (!account.balance) {
    return <p>The balance cannot be read at the moment.</p>;
  }
  return (
    <Form
      label="Correct the money in an account"
      action="Correct"
      operation={adjust}
      onSubmit={submit}
      done={`There are ${formatMoney(adjust.payload?.account?.balance)} now.`}
    >
      <label className="field">
        <span>Account</span>
        <select value={account.id} onChange={(event) => setChosen(event.target.value)}>
          {accounts.map(({ id, name, balance }) => (
            <option key={id} value={id}>
              {name} ({formatMoney(balance)})
            </option>
          ))}
        </select>
      </label>
      <MoneyField label="How much more, or less" name="deltaMinor" currency={account.balance} signed required />
      <AreaField label="Reason" name="reason" required maxLength={500} />
    </Form>
  );
}
