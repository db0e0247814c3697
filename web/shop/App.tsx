import { ApolloProvider } from '@apollo/client/react';
import { useEffect, useState } from 'react';

import type { Config } from '../common/config';
import { Pages } from '../common/Pages';
import { SignIn } from '../common/SignIn';
import { openShop, type Shop } from './client';
import { ConnectionContext } from './connection';
import { session } from './session';
import { Store } from './Store';

export function App({ config }: { config: Config }) {
  const [token, setToken] = useState(session.token() || config.token);
  const shop = useShop(config.endpoint, token);

  if (!token) {
    const signIn = (chosen: string) => {
      session.signIn(chosen);
      setToken(chosen);
    };
    return (
      <>
        <header>
          <Pages pages={config.pages} />
          <p className="brand">holdfast shop</p>
        </header>
        <SignIn demoToken={config.token} demoUser="the demo customer" onSignIn={signIn}>
          The shop’s operator gives it to you; <code>holdfast token --user alice</code> prints one.
        </SignIn>
      </>
    );
  }
  const signOut = () => {
    session.signOut();
    setToken('');
  };
  return (
    shop && (
      <ApolloProvider client={shop.client}>
        <ConnectionContext value={shop.connection}>
          <Store pages={config.pages} onSignOut={signOut} />
        </ConnectionContext>
      </ApolloProvider>
    )
  );
}

/** A client, and so a cache, for each token: nobody sees what the customer before was shown. */
function useShop(endpoint: string, token: string): Shop | null {
  const [shop, setShop] = useState<Shop | null>(null);
  useEffect(() => {
    if (!token) {
      return;
    }
    const opened = openShop(endpoint, token);
    setShop(opened);
    return () => {
      setShop(null);
      opened.close();
    };
  }, [endpoint, token]);
  return shop;
}
