/**
 * Keeps an access token in sessionStorage: it is gone with the tab, and no other host can read or write it. The shop and the
 * administration have keys of their own, so that nobody acts as an administrator where a customer was meant.
 */
export function openSession(key: string) {
  return {
    token: () => sessionStorage.getItem(key) ?? '',
    signIn: (token: string) => sessionStorage.setItem(key, token),
    signOut: () => sessionStorage.removeItem(key),
  };
}
