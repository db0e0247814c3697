import { createContext, useContext, useSyncExternalStore } from 'react';

/** Tells components whether the WebSocket is up. */
export class Connection {
  private up = false;
  private readonly listeners = new Set<() => void>();

  set(up: boolean) {
    this.up = up;
    for (const listener of this.listeners) {
      listener();
    }
  }

  readonly isUp = () => this.up;

  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  };
}

export const ConnectionContext = createContext(new Connection());

export function useConnected(): boolean {
  const connection = useContext(ConnectionContext);
  return useSyncExternalStore(connection.subscribe, connection.isUp);
}
