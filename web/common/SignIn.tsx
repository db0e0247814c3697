import { type FormEvent, useState } from 'react';

export function SignIn({ demoToken, onSignIn }: { demoToken: string; onSignIn: (token: string) => void }) {
  const [text, setText] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSignIn(text.trim().replace(/^Bearer\s+/i, ''));
  };
  return (
    <main className="narrow">
      <h1>Sign in</h1>
      <form onSubmit={submit} className="stack">
        <label className="field">
          <span>Access token</span>
          {/* What a JWT consists of; anything else cannot travel in a header. */}
          <input
            type="password"
            required
            pattern="\s*([Bb]earer\s+)?[A-Za-z0-9_.\-]+\s*"
            title="A token has letters, digits and the signs - _ . only."
            autoComplete="off"
            value={text}
            onChange={(e) => setText(e.target.value)}
            aria-describedby="token-help"
          />
        </label>
        <p id="token-help" className="quiet">
          The shop’s operator gives it to you; <code>holdfast token --user alice</code> prints one. It is kept in this tab
          only.
        </p>
        <div className="row">
          <button type="submit">Sign in</button>
          {demoToken && (
            <button type="button" className="secondary" onClick={() => onSignIn(demoToken)}>
              Continue as the demo customer
            </button>
          )}
        </div>
      </form>
    </main>
  );
}
