import { useRef } from 'react';

/** A random UUID; crypto.randomUUID is missing where the page is not served over https. */
function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * Keeps one key for each request until its answer is there: whoever presses the button again because the network failed,
 * or because the shop asks to try again, repeats the request and does not make a second one. That is so, too, if another
 * request went out in between.
 */
export function useIdempotencyKey() {
  const pending = useRef(new Map<string, string>());
  return {
    keyFor(input: object): string {
      const request = JSON.stringify(input);
      const key = pending.current.get(request) ?? uuid();
      pending.current.set(request, key);
      return key;
    },
    settle(input: object, userErrors: readonly { retryable: boolean }[]) {
      if (!userErrors.some((e) => e.retryable)) {
        pending.current.delete(JSON.stringify(input));
      }
    },
  };
}
