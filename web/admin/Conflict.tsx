interface Props {
  /** Of each field: its label, what it was when the form was opened, and what is stored now. */
  differences: [label: string, before: string, now: string][];
  onTake: () => void;
}

/** Says what somebody else has changed while a form was filled in. */
export function Conflict({ differences, onTake }: Props) {
  const changed = differences.filter(([, before, now]) => before !== now);
  return (
    <div className="card" role="group" aria-label="Changed by somebody else">
      <p>Somebody else has changed this meanwhile:</p>
      <ul>
        {changed.map(([label, before, now]) => (
          <li key={label}>
            {label}: it was “{before}”, and is “{now}” now.
          </li>
        ))}
        {changed.length === 0 && <li>Nothing that is shown here.</li>}
      </ul>
      <p>Save again to add your changes to that, or take what is stored, without them.</p>
      <button type="button" className="secondary" onClick={onTake}>
        Take what is stored
      </button>
    </div>
  );
}
