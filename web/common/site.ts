/** A page that this server serves; see Page in pages.go. */
export interface Page {
  title: string;
  path: string;
}

/** What the list of pages is called where it is read aloud. */
export const pagesLabel = 'Pages of holdfast';
