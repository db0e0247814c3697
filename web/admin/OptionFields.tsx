import { TextField } from './fields';
import { textOf } from './Form';

/** The first one has the name by which the shop refuses values. */
const nameOf = (i: number) => (i === 0 ? 'options' : `option${i}`);

/** A value for each option of a product. */
export function OptionFields({ names, values = [] }: { names: readonly string[]; values?: readonly string[] }) {
  return names.map((name, i) => <TextField key={name} label={name} name={nameOf(i)} required maxLength={255} defaultValue={values[i]} />);
}

/** Reads what OptionFields hold. */
export const optionsOf = (filled: FormData, count: number) => Array.from({ length: count }, (_, i) => textOf(filled, nameOf(i)));
