/** An amount of money as the server tells it. */
export interface Price {
  amountMinor: string;
  currency: string;
  minorDigits: number;
}

/** What could not be read at the moment. */
const unknown = '?';

/** Minor units are integers as text; a float in between would lose cents of large amounts. */
function decimal(minor: string, digits: number): string {
  const negative = minor.startsWith('-');
  const padded = minor.replace('-', '').padStart(digits + 1, '0');
  const whole = padded.slice(0, padded.length - digits);
  const text = digits === 0 ? whole : `${whole}.${padded.slice(-digits)}`;
  return negative ? `-${text}` : text;
}

/** The decimals are those that the server tells: the browser's own are not those of ISO 4217 for every currency. */
export function formatMoney(amount?: Price | null): string {
  if (!amount) {
    return unknown;
  }
  const { amountMinor, currency, minorDigits } = amount;
  const format = new Intl.NumberFormat('en', {
    style: 'currency',
    currency,
    minimumFractionDigits: minorDigits,
    maximumFractionDigits: minorDigits,
  });
  return format.format(decimal(amountMinor, minorDigits) as Intl.StringNumericLiteral);
}

/** Reads "12", "12.5" or "12,50" as minor units of a currency with so many decimals; null where it is no such amount. */
export function parseMoney(text: string, digits: number): string | null {
  const match = /^(\d{1,12})(?:[.,](\d*))?$/.exec(text.trim());
  const fraction = match?.[2] ?? '';
  if (!match || fraction.length > digits) {
    return null;
  }
  return BigInt(match[1] + fraction.padEnd(digits, '0')).toString();
}

export function formatCount(count?: string | null): string {
  return count == null ? unknown : new Intl.NumberFormat('en').format(BigInt(count));
}

export function formatTime(time: string): string {
  return new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(time));
}

export function formatClock(time: Date): string {
  return new Intl.DateTimeFormat('en', { timeStyle: 'medium' }).format(time);
}
