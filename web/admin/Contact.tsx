import type { PostalAddressFragment, ReachedFragment } from './gql/operations';

/** How somebody can be reached. */
export function Contact({ contact }: { contact?: ReachedFragment | null }) {
  const parts = [contact?.name, contact?.email, contact?.phone].filter(Boolean);
  return parts.length > 0 ? parts.join(', ') : 'not given';
}

/** Where something is sent. */
export function PostalAddress({ address }: { address?: PostalAddressFragment | null }) {
  if (!address) {
    return 'not given';
  }
  const city = [address.postalCode, address.city, address.region].filter(Boolean).join(' ');
  return [address.name, ...address.lines, city, address.countryCode, address.phone].filter(Boolean).join(', ');
}
