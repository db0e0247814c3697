import type { PriceFragment } from './gql/operations';

/** Sums prices times quantities of one currency. */
export function sum(items: { price: PriceFragment; quantity: number }[]): PriceFragment | null {
  if (items.length === 0) {
    return null;
  }
  const total = items.reduce((n, { price, quantity }) => n + BigInt(price.amountMinor) * BigInt(quantity), 0n);
  return { ...items[0].price, amountMinor: total.toString() };
}

/** What an order costs after a discount, rounded as the server does. */
export function discounted(subtotal: PriceFragment, coupon?: { discountKind: string; discountValue: string }): PriceFragment {
  if (!coupon) {
    return subtotal;
  }
  const [amount, value] = [BigInt(subtotal.amountMinor), BigInt(coupon.discountValue)];
  const full = coupon.discountKind === 'PERCENT' ? (amount * value) / 100n : value;
  return { ...subtotal, amountMinor: (full > amount ? 0n : amount - full).toString() };
}
