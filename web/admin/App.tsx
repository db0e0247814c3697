import type { ApolloClient } from '@apollo/client';
import { ApolloProvider } from '@apollo/client/react';
import { useEffect, useState } from 'react';

import type { Config } from '../common/config';
import { Pages } from '../common/Pages';
import { openSession } from '../common/session';
import { SignIn } from '../common/SignIn';
import { openClient } from './client';
import { Gate } from './Gate';

const session = openSession('holdfast:admin:token');

export function App({ config }: { config: Config }) {
  const [token, setToken] = useState(session.token());
  const client = useClient(config.endpoint, token);

  if (!token) {
    const signIn = (chosen: string) => {
      session.signIn(chosen);
      setToken(chosen);
    };
    return (
      <>
        <header>
          <Pages pages={config.pages} />
          <p className="brand">holdfast administration</p>
        </header>
        <SignIn demoToken={config.token} demoUser="the demo administrator" onSignIn={signIn}>
          It must have the role ADMIN; <code>holdfast token --user admin --admin</code> prints one.
        </SignIn>
      </>
    );
  }
  const signOut = () => {
    session.signOut();
    setToken('');
  };
  return (
    client && (
      <ApolloProvider client={client}>
        <Gate pages={config.pages} onSignOut={signOut} />
      </ApolloProvider>
    )
  );
}

/** A client, and so a cache, for each token: nobody sees what the administrator before was shown. */
function useClient(endpoint: string, token: string): ApolloClient | null {
  const [client, setClient] = useState<ApolloClient | null>(null);
  useEffect(() => {
    if (!token) {
      return;
    }
    const opened = openClient(endpoint, token);
    setClient(opened);
    return () => {
      setClient(null);
      opened.stop();
    };
  }, [endpoint, token]);
  return client;
}
