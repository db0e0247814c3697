import { Component, type ReactNode } from 'react';

interface Props {
  /** The address that is sure to be shown, and what it is called. */
  home: { href: string; title: string };
  children: ReactNode;
}

/**
 * Says that a view could not be shown, instead of a page that goes blank, and offers ways back. A page that is loaded again has
 * forgotten the answers of the server, one of which may be what cannot be shown. Whoever goes to another view leaves the fault behind, if the boundary has that view as its key.
 */
export class Boundary extends Component<Props, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    const { home, children } = this.props;
    if (!this.state.failed) {
      return children;
    }
    return (
      <div role="alert">
        <p>This cannot be shown: the page has a fault. What was saved is saved; what was filled in and not sent is lost.</p>
        <div className="row">
          <button type="button" onClick={() => window.location.reload()}>
            Load the page again
          </button>
          <a href={home.href}>{home.title}</a>
        </div>
      </div>
    );
  }
}
