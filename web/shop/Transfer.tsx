import { useQuery } from '@apollo/client/react';
import { type FormEvent, useRef, useState } from 'react';

import { formatMoney, parseMoney } from '../common/money';
import { Failure, Outcome } from '../common/Outcome';
import { useOperation } from '../common/useOperation';
import { AccountsDocument, TransferDocument } from './gql/operations';

export function Transfer() {
  const { data, error } = useQuery(AccountsDocument, { fetchPolicy: 'cache-and-network', errorPolicy: 'all' });
  const transfer = useOperation(TransferDocument, (d) => d.transfer);
  const [chosen, setChosen] = useState('');
  const [to, setTo] = useState('');
  const [amount, setAmount] = useState('');
  const amountField = useRef<HTMLInputElement>(null);

  const accounts = data?.me?.accounts?.nodes ?? [];
  const from = accounts.find((account) => account.id === chosen) ?? accounts[0];

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!from?.balance) {
      return; // the form is not there
    }
    const { currency, minorDigits } = from.balance;
    const amountMinor = parseMoney(amount, minorDigits);
    if (amountMinor === null) {
      const example = (12.5).toFixed(minorDigits);
      amountField.current?.setCustomValidity(`An amount of ${currency}, such as ${example}.`);
      amountField.current?.reportValidity();
      return;
    }
    void transfer.run({ fromAccountId: from.id, toAccountId: to.trim(), amount: { amountMinor, currency } });
  };
  const done = transfer.payload?.transfer;
  return (
    <>
      <Failure error={error} />
      {data?.me?.accounts && !from && <p>You have no account.</p>}
      {from?.balance && (
        <form onSubmit={submit} className="stack narrow">
          <label className="field">
            <span>From</span>
            <select value={from.id} onChange={(e) => setChosen(e.target.value)}>
              {accounts.map((account) => (
                <option key={account.id} value={account.id}>
                  {account.name} ({formatMoney(account.balance)})
                </option>
              ))}
            </select>
          </label>
          <label className="field">
            <span>To account</span>
            <input required placeholder="acct_…" value={to} onChange={(e) => setTo(e.target.value)} />
          </label>
          <label className="field">
            <span>Amount in {from.balance.currency}</span>
            <input
              ref={amountField}
              required
              inputMode="decimal"
              value={amount}
              onChange={(e) => {
                e.target.setCustomValidity('');
                setAmount(e.target.value);
              }}
            />
          </label>
          <button type="submit" disabled={transfer.busy}>
            Transfer
          </button>
        </form>
      )}
      <Outcome error={transfer.error} payload={transfer.payload}>
        {done && `${formatMoney(done.amount)} went to ${done.toAccountId}.`}
      </Outcome>
      {accounts.length > 0 && (
        <>
          <h2>Your accounts</h2>
          <ul className="plain" aria-label="Your accounts">
            {accounts.map((account) => (
              <li key={account.id} className="row spread">
                <span>
                  {account.name} <code>{account.id}</code>
                </span>
                <span data-testid={account.id}>{formatMoney(account.balance)}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}
