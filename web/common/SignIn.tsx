import { type FormEvent, type ReactNode, useState } from 'react';

interface Props {
  /** A token that works, from a development server; empty otherwise. */
  demoToken: string;
  /** Whose token that is, such as "the demo customer". */
  demoUser: string;
  onSignIn: (token: string) => void;
  /** Where a token comes from. */
  children: ReactNode;
}

/** Asks for an access token. Its parts go nowhere but into sessionStorage and the header Authorization. */
export function SignIn({ demoToken, demoUser, onSignIn, children }: Props) {
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
          {children} It is kept in this tab only.
        </p>
        <div className="row">
          <button type="submit">Sign in</button>
          {demoToken && (
            <button type="button" className="secondary" onClick={() => onSignIn(demoToken)}>
              Continue as {demoUser}
            </button>
          )}
        </div>
      </form>
    </main>
  );
}
