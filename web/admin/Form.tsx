import { createContext, type FormEvent, type ReactNode, useContext, useEffect, useId, useRef, useState } from 'react';

import { Outcome, type Refusal } from '../common/Outcome';

interface Payload {
  userErrors: readonly Refusal[];
  meta?: { strategy: string; attempts: number; totalMs: number };
}

interface Props {
  /** What the form is for, such as "Adjust stock". */
  label: string;
  /** What the button says. */
  action: string;
  operation: { error?: unknown; payload: Payload | null; busy: boolean };
  /** Sends what was filled in. It resolves to undefined if the administrator has thought better of it. */
  onSubmit: (filled: FormData) => Promise<Payload | null | undefined>;
  /** What to say of a success. */
  done: ReactNode;
  /** True leaves the fields as they are after a success: they show what is stored. */
  keep?: boolean;
  children: ReactNode;
}

const RefusalsContext = createContext<readonly Refusal[]>([]);

/** A form of one operation. What the server refuses is shown at its field; what is no field's fault, below the button. */
export function Form({ label, action, operation, onSubmit, done, keep, children }: Props) {
  const form = useRef<HTMLFormElement>(null);
  const [names, setNames] = useState<readonly string[]>([]);
  const refusals = operation.payload?.userErrors ?? [];
  const others = refusals.filter((refusal) => !refusal.field?.some((name) => names.includes(name)));

  useEffect(() => {
    form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [operation.payload]);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const element = form.current;
    if (!element || operation.busy) {
      return;
    }
    setNames(Array.from(element.elements, (field) => field.getAttribute('name') ?? '').filter(Boolean));
    const payload = await onSubmit(new FormData(element));
    if (payload?.userErrors.length === 0 && !keep) {
      element.reset();
    }
  };
  // Outcome would say of a refusal at a field that all is well.
  const payload = operation.payload && { ...operation.payload, userErrors: others };
  const refusedAtField = others.length < refusals.length;
  return (
    <form ref={form} aria-label={label} className="stack" onSubmit={(event) => void submit(event)}>
      <RefusalsContext value={refusals}>{children}</RefusalsContext>
      <div className="row">
        <button type="submit" disabled={operation.busy}>
          {action}
        </button>
      </div>
      <Outcome error={operation.error} payload={refusedAtField && others.length === 0 ? null : payload}>
        {done}
      </Outcome>
    </form>
  );
}

interface FieldProps {
  label: string;
  /** The name of the field of the input, by which refusals name it. */
  name: string;
  help?: string;
  /** The element to fill in. It takes the attributes that are given to it. */
  children: (attributes: { name: string; 'aria-describedby'?: string; 'aria-invalid'?: true }) => ReactNode;
}

/** A field with its label, its help, and what the server has refused about it. */
export function Field({ label, name, help, children }: FieldProps) {
  const id = useId();
  const refused = useContext(RefusalsContext).filter((refusal) => refusal.field?.includes(name));
  const described = [help && `${id}help`, refused.length > 0 && `${id}refused`].filter(Boolean).join(' ');
  return (
    <div className="field">
      <label className="field">
        <span>{label}</span>
        {children({ name, 'aria-describedby': described || undefined, 'aria-invalid': refused.length > 0 || undefined })}
      </label>
      {help && (
        <p id={`${id}help`} className="quiet">
          {help}
        </p>
      )}
      {refused.length > 0 && (
        <p id={`${id}refused`} role="alert">
          {refused.map((refusal) => refusal.message).join(' ')}
        </p>
      )}
    </div>
  );
}

/** What was filled in, without blanks around it; "" if the form has no such field. */
export function textOf(filled: FormData, name: string): string {
  const value = filled.get(name);
  return typeof value === 'string' ? value.trim() : '';
}
