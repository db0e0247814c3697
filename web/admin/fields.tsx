import { createContext, useContext } from 'react';

import { parseMoney } from '../common/money';
import { Field } from './Form';

/** A currency, and how many decimals it has. */
export interface Currency {
  currency: string;
  minorDigits: number;
}

/** The currency of prices. */
export const CurrencyContext = createContext<Currency>({ currency: 'USD', minorDigits: 2 });

export const useCurrency = () => useContext(CurrencyContext);

interface TextProps {
  label: string;
  name: string;
  help?: string;
  required?: boolean;
  maxLength?: number;
  defaultValue?: string;
  placeholder?: string;
}

export function TextField({ label, name, help, ...input }: TextProps) {
  return (
    <Field label={label} name={name} help={help}>
      {(attributes) => <input autoComplete="off" {...input} {...attributes} />}
    </Field>
  );
}

export function AreaField({ label, name, help, ...area }: TextProps) {
  return (
    <Field label={label} name={name} help={help}>
      {(attributes) => <textarea rows={3} {...area} {...attributes} />}
    </Field>
  );
}

/** A whole number from min to max. */
export function NumberField({ label, name, help, ...input }: TextProps & { min: number; max?: number }) {
  return (
    <Field label={label} name={name} help={help}>
      {(attributes) => <input type="number" step={1} {...input} {...attributes} />}
    </Field>
  );
}

/** A whole number to add, or to take if it is negative. */
export function DeltaField({ label, name, help }: TextProps) {
  return (
    <Field label={label} name={name} help={help}>
      {(attributes) => (
        <input required autoComplete="off" pattern="\s*[+\-]?\d{1,15}\s*" title="A whole number, such as 5 or -5." {...attributes} />
      )}
    </Field>
  );
}

/** Reads what a DeltaField holds. */
export const deltaOf = (text: string) => text.replace(/^\+/, '');

interface MoneyProps extends TextProps {
  currency: Currency;
  /** True takes a sign. */
  signed?: boolean;
}

/** An amount as people write it, such as 12.50. */
export function MoneyField({ label, name, help, currency, signed, ...input }: MoneyProps) {
  const { minorDigits } = currency;
  const example = (12.5).toFixed(minorDigits);
  return (
    <Field label={`${label} in ${currency.currency}`} name={name} help={help}>
      {(attributes) => (
        <input
          inputMode={signed ? undefined : 'decimal'}
          autoComplete="off"
          pattern={`\\s*${signed ? '[+\\-]?' : ''}\\d{1,12}${minorDigits > 0 ? `([.,]\\d{0,${minorDigits}})?` : ''}\\s*`}
          title={`An amount, such as ${example}${signed ? ` or -${example}` : ''}.`}
          {...input}
          {...attributes}
        />
      )}
    </Field>
  );
}

/** Reads what a MoneyField holds as minor units. */
export function minorOf(text: string, { minorDigits }: Currency): string {
  const minor = parseMoney(text.replace(/^[+-]/, ''), minorDigits) ?? '0';
  return text.startsWith('-') && minor !== '0' ? `-${minor}` : minor;
}

/** An amount as a MoneyField takes it. */
export function amountText({ amountMinor, minorDigits }: { amountMinor: string; minorDigits: number }): string {
  const digits = amountMinor.padStart(minorDigits + 1, '0');
  const whole = digits.slice(0, digits.length - minorDigits);
  return minorDigits > 0 ? `${whole}.${digits.slice(-minorDigits)}` : whole;
}

/** A moment in the time zone of the browser. */
export function MomentField({ label, name, help, defaultValue }: TextProps) {
  return (
    <Field label={label} name={name} help={help}>
      {(attributes) => <input type="datetime-local" defaultValue={defaultValue} {...attributes} />}
    </Field>
  );
}

/** A moment as a MomentField holds it, to the minute; "" for none. */
export function localMoment(time?: string | null): string {
  if (!time) {
    return '';
  }
  const moment = new Date(time);
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** Reads what a MomentField holds; null for none. */
export const momentOf = (text: string) => (text ? new Date(text).toISOString() : null);
