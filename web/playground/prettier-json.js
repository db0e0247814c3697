/*
 * The JSON half of GraphiQL's "Prettify", as a plugin of prettier: a stand-in for its babel parser and estree printer
 * (see vite.config.ts), 520 KB that GraphiQL needs for nothing but variables and headers.
 */
import { applyEdits, format } from 'jsonc-parser';

export const parsers = {
  jsonc: {
    astFormat: 'holdfast-json',
    parse: (text) => ({ text: applyEdits(text, format(text, undefined, { insertSpaces: true, tabSize: 2 })) }),
    locStart: () => 0,
    locEnd: ({ text }) => text.length,
  },
};

export const printers = {
  'holdfast-json': { print: (path) => path.node.text },
};
