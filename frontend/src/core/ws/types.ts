import type { AnyEvent, Client, ConnectionState, Environment, EventFrame, EventPayloads, Inbox, InboxState, KnownEventType, Notification, Store } from '@socialvibes/vibemesh-client';

export type { AnyEvent, Client, ConnectionState, Environment, EventFrame, EventPayloads, Inbox, InboxState, KnownEventType, Notification, Store };

/** Who is signed in, as far as the mesh has to know it. */
export interface MeshSession {
  /** The person's user id: the key of what is stored on this device. */
  readonly user: string;
  /** Resolves to an ID token; `fresh` asks for another one than the last. Rejects when there is none to be had now. */
  token(fresh: boolean): Promise<string>;
}

/** How to reach the mesh. Give the same objects for as long as nothing changes: another one is another connection. */
export interface MeshOptions {
  /** The server's origin, such as https://mesh.example. */
  url: string;
  /** Topics to follow from the start; {@link WS.join} adds others later. */
  topics?: readonly string[];
  /** Also receive signals. */
  signals?: boolean;
  /** Where the cursor and the history are kept; AsyncStorage when left out. */
  store?: Store;
  /** Says when the device is online and the app in front; the platform's own when left out. */
  environment?: Environment;
}

/** A client and the list of notifications that it fills, of one person. */
export interface Mesh {
  readonly client: Client;
  readonly inbox: Inbox;
}

/** What `useWS()` answers. */
export interface WS {
  /** 'stopped' while nobody is signed in. */
  readonly state: ConnectionState;
  /** The close code of the last session that ended, see CloseCode; undefined while there is none. */
  readonly closeCode: number | undefined;
  /** The client itself, for what the hooks do not offer; null while nobody is signed in. */
  readonly client: Client | null;
  /** The notifications as a store, for components that read it themselves; `useInbox()` gives what it holds. */
  readonly inbox: Inbox | null;
  join(topic: string): void;
  leave(topic: string): void;
  /** Sends a signal to a topic that was joined; false when it could not be sent now. */
  signal(topic: string, name: string, payload?: Record<string, unknown>): boolean;
  /** Connects again after 'refused', when what was refused has changed. */
  reconnect(): void;
  /** Ends the session and removes what this device keeps for the person: for signing out. */
  forget(): Promise<void>;
}

/** What `useInbox()` answers: the list, and what can be done with it. Without a person the list is empty. */
export interface InboxHandle extends InboxState, Pick<Inbox, 'refresh' | 'loadMore' | 'markRead' | 'markUnread' | 'markAllRead' | 'onArrival'> {}
