import { createContext, type ReactNode, useContext, useEffect, useId, useRef, useState } from 'react';

interface Question {
  title: string;
  /** What happens, and what cannot be taken back. */
  text: string;
  /** What the button says, such as "Refund". */
  action: string;
}

type Ask = (question: Question) => Promise<boolean>;

const AskContext = createContext<Ask | null>(null);

/** Asks before something is done that cannot simply be taken back. It resolves to whether the administrator has agreed. */
export function useConfirmation(): Ask {
  const ask = useContext(AskContext);
  if (!ask) {
    throw new Error('useConfirmation belongs below Confirmation');
  }
  return ask;
}

/** The dialog of [useConfirmation]. There is one: the browser keeps the focus in it, and gives it back. */
export function Confirmation({ children }: { children: ReactNode }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const answer = useRef<(agreed: boolean) => void>(undefined);
  const [question, setQuestion] = useState<Question | null>(null);
  const id = useId();
  const ask: Ask = (asked) =>
    new Promise((resolve) => {
      answer.current = resolve;
      setQuestion(asked);
      dialog.current?.showModal();
    });
  const onClose = () => answer.current?.(dialog.current?.returnValue === 'yes');
  const close = (value: string) => dialog.current?.close(value);
  useEffect(() => {
    // Whoever leaves the view sees no more what the question is about.
    const leave = () => dialog.current?.close('no');
    window.addEventListener('hashchange', leave);
    return () => window.removeEventListener('hashchange', leave);
  }, []);
  return (
    <AskContext value={ask}>
      {children}
      <dialog ref={dialog} aria-labelledby={`${id}title`} aria-describedby={`${id}text`} onClose={onClose} onCancel={() => close('no')}>
        <h2 id={`${id}title`}>{question?.title}</h2>
        <p id={`${id}text`}>{question?.text}</p>
        <div className="row">
          <button type="button" className="secondary" onClick={() => close('no')}>
            Leave it
          </button>
          <button type="button" onClick={() => close('yes')}>
            {question?.action}
          </button>
        </div>
      </dialog>
    </AskContext>
  );
}
