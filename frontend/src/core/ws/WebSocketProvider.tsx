import { createContext, use, useEffect, useEffectEvent, useMemo, useSyncExternalStore, type ReactNode } from 'react';
import type { EventFrame, InboxHandle, InboxState, KnownEventType, Mesh, MeshOptions, MeshSession, WS } from './types';
import { useWebSocket } from './useWebSocket';

const MeshContext = createContext<Mesh | null | undefined>(undefined);

export interface WebSocketProviderProps extends MeshOptions {
  /** Who is signed in; null: nobody, and there is no connection. */
  session: MeshSession | null;
  children: ReactNode;
}

/** Gives the components below it one connection to the mesh: `useWS`, `useInbox` and `useWSEvent`. */
export function WebSocketProvider({ session, children, ...options }: WebSocketProviderProps) {
  return <MeshContext value={useWebSocket(session, options)}>{children}</MeshContext>;
}

function useMesh(): Mesh | null {
  const mesh = use(MeshContext);
  if (mesh === undefined) throw new Error('there is no <WebSocketProvider> above this component');
  return mesh;
}

const nothing = () => {};
const never = () => nothing;

/** The connection: its state, and what can be done with it. Renders again when the state changes. */
export function useWS(): WS {
  const mesh = useMesh();
  const actions = useMemo(() => actionsOf(mesh), [mesh]);
  const state = useSyncExternalStore(actions.subscribe, () => mesh?.client.state ?? 'stopped');
  const closeCode = useSyncExternalStore(actions.subscribe, () => mesh?.client.closeCode);
  return useMemo(() => ({ state, closeCode, ...actions.public }), [state, closeCode, actions]);
}

function actionsOf(mesh: Mesh | null) {
  const client = mesh?.client ?? null;
  return {
    subscribe: client ? (fn: () => void) => client.on('state', fn) : never,
    public: {
      client,
      inbox: mesh?.inbox ?? null,
      join: (topic: string) => client?.join(topic),
      leave: (topic: string) => client?.leave(topic),
      signal: (topic: string, name: string, payload?: Record<string, unknown>) => client?.signal(topic, name, payload) ?? false,
      reconnect: () => client?.start(),
      async forget() {
        mesh?.inbox.stop();
        client?.stop();
        await client?.forget();
      },
    },
  };
}

const empty: InboxState = { items: [], unread: 0, status: 'loading', more: false, busy: false, connection: 'stopped' };

/** The person's notifications, newest first, and what can be done with them. Renders again when the list changes. */
export function useInbox(): InboxHandle {
  const inbox = useMesh()?.inbox;
  const state = useSyncExternalStore(inbox?.subscribe ?? never, inbox?.getState ?? (() => empty));
  return useMemo(() => ({
    ...state,
    refresh: async () => inbox?.refresh(),
    loadMore: async () => inbox?.loadMore(),
    markRead: (...ids: string[]) => inbox?.markRead(...ids),
    markUnread: (...ids: string[]) => inbox?.markUnread(...ids),
    markAllRead: () => inbox?.markAllRead(),
    onArrival: inbox?.onArrival ?? never,
  }), [state, inbox]);
}

/**
 * Calls `handler` with each event of `type` as it arrives, those that were missed while away included, and never
 * twice with the same. The handler may be written in place: always the newest one is called.
 */
export function useWSEvent<K extends KnownEventType | (string & {})>(type: K, handler: (event: EventFrame<K>) => void): void {
  const client = useMesh()?.client;
  const onEvent = useEffectEvent(handler);
  useEffect(() => client?.on('event', (event) => {
    if (event.type === type) onEvent(event as EventFrame<K>); // the type says which payload it has
  }), [client, type]);
}
