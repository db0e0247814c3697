// A page of the same host that knows the customer's token may store it here before it links to the shop. It is gone with
// the tab, and no other host can write it.
const storageKey = 'holdfast.token';

export const session = {
  token: () => sessionStorage.getItem(storageKey) ?? '',
  signIn: (token: string) => sessionStorage.setItem(storageKey, token),
  signOut: () => sessionStorage.removeItem(storageKey),
};
