// The public types of the client: what it is given, what it gives.

import type { FrameErrorCode } from './codes.gen.js';
import type { EventPayloads } from './events.gen.js';

/** Whom an event or a signal is for. */
export type Audience = 'broadcast' | 'user' | `topic:${string}`;

/** Event types that have a schema. An event may have any other type, too. */
export type KnownEventType = keyof EventPayloads;

/** The payload of an event type: typed when the type has a schema, otherwise any object. */
export type PayloadOf<K extends string> = K extends KnownEventType
  ? { readonly [F in keyof EventPayloads[K]]: EventPayloads[K][F] }
  : Readonly<Record<string, unknown>>;

/** A stored event, as it comes on the socket. */
export interface EventFrame<K extends string = string> {
  readonly type: K;
  /** Names the event for ever, on the socket and in the history. */
  readonly id: string;
  readonly cursor: string;
  /** When it was stored, in milliseconds since 1970. */
  readonly ts: number;
  readonly to: Audience;
  /** It takes the place of an earlier event with the same key and the same `to`. */
  readonly collapse?: string;
  /** When it is no longer to be shown, in milliseconds since 1970. */
  readonly expires?: number;
  /** Data. Show its text as text, never as markup. */
  readonly payload: PayloadOf<K>;
}

/** Any event: {@link isEvent} gives it a typed payload. */
export type AnyEvent = EventFrame;

/** The first frame of a session, and the answer to another token. */
export interface HelloFrame {
  readonly type: 'hello';
  readonly session: string;
  readonly node: string;
  readonly cursor: string;
  /** The client's own cursor was accepted: what it missed follows. */
  readonly resumed: boolean;
  /** Seconds of silence after which to ask whether the other side is there. */
  readonly ping: number;
  /** When the token ends, in seconds since 1970. */
  readonly expires: number;
  /** How many events are unread up to where this session begins, at most 1000. */
  readonly unread?: number;
}

/** What cannot be replayed. */
export interface GapFrame {
  readonly type: 'gap';
  /** `retention`, `limit` or `unknown`; the guide for app developers says what to do about each. */
  readonly reason: string;
  readonly cursor: string;
}

/** What a person has read; see `isRead`. */
export interface ReadState {
  readonly up_to?: readonly string[];
  readonly read?: readonly string[];
  readonly unread?: readonly string[];
}

/** The whole read state, as each device of the person gets it. */
export interface ReadFrame extends ReadState {
  readonly type: 'read';
  readonly cursor: string;
}

/** A change of the read state. A field that is left out says nothing. */
export interface ReadChange {
  /** This event, and all that the log stored before it, are read. */
  readonly up_to?: string;
  /** All that this session was sent is read. Prefer `up_to`: what arrives meanwhile stays unread. */
  readonly all?: boolean;
  /** Ids of events that are read. */
  readonly read?: readonly string[];
  /** Ids of events that are unread; counts against the other fields. */
  readonly unread?: readonly string[];
  /** When the person did it, in milliseconds since 1970. Left out: now. */
  readonly at?: number;
}

/** Something of the moment: not stored, and lost on whoever is away. */
export interface SignalFrame {
  readonly type: 'signal';
  readonly name: string;
  readonly to: Audience;
  /** The user whose client sent it; without it a backend did. */
  readonly from?: string;
  readonly payload?: Readonly<Record<string, unknown>>;
}

/** The topics that a session has. */
export interface SubscribedFrame {
  readonly type: 'subscribed';
  readonly topics: readonly string[];
  readonly cursor: string;
}

/**
 * - `stopped`: not started, or stopped.
 * - `connecting`: a token or a connection is on its way.
 * - `live`: events come as they are published.
 * - `waiting`: a while before the next attempt; in the background, until the app is in front again.
 * - `offline`: the device has no network; the client goes on as soon as it has.
 * - `refused`: closed with a code of 4400–4499 (see `closeCode`). `start()` again when something
 *   has changed: after 4401, when the person has signed in anew.
 */
export type ConnectionState = 'stopped' | 'connecting' | 'live' | 'waiting' | 'offline' | 'refused';

/** What the client itself found wrong. */
export type FaultCode =
  | 'malformed' // a message that is no frame of the protocol; it was passed over
  | 'oversized' // a message that is too large; it was passed over
  | 'socket' // no connection can be made: there is no WebSocket, or it throws
  | 'token' // the token provider failed, hung, or gave nothing
  | 'store' // the store failed or hung
  | 'listener' // a listener threw
  | 'refused' // the app asked for something that the protocol does not allow; it was not sent
  | 'dropped'; // a read change was given up: too many wait, or the server refused it

/** An error frame of the server, or a fault that the client found. Nothing of either stops the client. */
export type ClientError =
  | { readonly source: 'server'; readonly code: FrameErrorCode | (string & {}); readonly message: string }
  | {
      readonly source: 'client';
      readonly code: FaultCode;
      readonly message: string;
      /** How often this happened since this code was last reported, at most once a second. */
      readonly count: number;
      readonly cause?: unknown;
    };

/** What {@link Client.on} can listen to. */
export interface ClientEvents {
  /** The connection changed its state. */
  state: ConnectionState;
  hello: HelloFrame;
  /** An event: each id once, in the order of the log. */
  event: AnyEvent;
  gap: GapFrame;
  read: ReadFrame;
  signal: SignalFrame;
  /** The topics that this session has. */
  topics: readonly string[];
  error: ClientError;
  /** A read change was queued, or one that waited was confirmed or given up; see {@link Client.pendingReads}. */
  pending: readonly ReadChange[];
  /** What the device keeps of this person is being forgotten. */
  forget: undefined;
}

/** Keeps strings, as AsyncStorage does. It may be slow or fail: the client goes on without it. */
export interface Store {
  get(key: string): Promise<string | null>;
  set(key: string, value: string): Promise<void>;
  remove(key: string): Promise<void>;
}

/** Whether the device has a network, and whether the app is in front. */
export interface Conditions {
  readonly online: boolean;
  readonly active: boolean;
}

/** Tells of the conditions: once at once, and whenever they change, until the function it returns is called. */
export interface Environment {
  subscribe(on: (now: Conditions) => void): () => void;
}

/** The part of a WebSocket that the client uses; that of browsers, React Native, Node 22 and `ws` fit. */
export interface WebSocketLike {
  readonly readyState: number;
  // `never`: each platform has an event type of its own, and all of them are accepted.
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketCtor = new (url: string, protocols?: string[]) => WebSocketLike;

export interface ClientOptions {
  /** The mesh's http(s) or ws(s) origin, such as `https://mesh.example`. */
  url: string;
  /** Key of what is stored on the device: one for each person. */
  user: string;
  /**
   * Gives an ID token of the person. `fresh`: the last one was refused or is about to expire, so a
   * new one is needed, as `(fresh) => user.getIdToken(fresh)` gives. A failure is tried again later.
   */
  token: (fresh: boolean) => Promise<string>;
  /** Topics to follow from the start, at most 64 of 1 to 128 bytes. */
  topics?: readonly string[];
  /** Receive signals. */
  signals?: boolean;
  /** Have hello say how many events are unread; what an inbox needs for its badge. */
  unread?: boolean;
  /** Where the cursor, unconfirmed read changes and the inbox are kept; default: in memory. */
  store?: Store;
  /** Default: the global one. Node before 22 has none: give it that of the `ws` package. */
  WebSocket?: WebSocketCtor;
  /** Default: the global one. */
  fetch?: typeof fetch;
  /** Default: always online and in front. */
  environment?: Environment;
}

/** An event of the history. */
export interface HistoryEvent<K extends string = string> extends Omit<EventFrame<K>, 'cursor'> {
  /** The person has read it, on whatever device, when the page was made. */
  readonly read: boolean;
}

/** A page of what was sent to the person and to everybody. */
export interface HistoryPage {
  /** Newest first. */
  readonly events: readonly HistoryEvent[];
  /** Pass it as `before` for the next page; absent on the last. */
  readonly next?: string;
  /** How many events are unread in all, at most 1000; on a page without `before` only. */
  readonly unread?: number;
}

export interface HistoryQuery {
  /** The `next` of the page before. */
  before?: string;
  /** Most events of the page; default and upper bound are the server's. */
  limit?: number;
  signal?: AbortSignal;
}

/** One person's session with the mesh, over as many connections as it takes. */
export interface Client {
  readonly user: string;
  readonly store: Store;
  readonly state: ConnectionState;
  /** Of the last connection that ended: its close code; 1006: it broke. */
  readonly closeCode: number | undefined;
  /** The topics that the app asked for; the event `topics` tells what the session has. */
  readonly topics: readonly string[];
  /** Read changes that no read frame has confirmed yet, oldest first. */
  readonly pendingReads: readonly ReadChange[];
  /** Connects, and stays connected. Does nothing when it has been started. */
  start(): void;
  /** Ends the session (1000). The cursor is kept: `start()` goes on from there. */
  stop(): void;
  /** Stops, and forgets what the device keeps of this person, the inboxes included, which stop: at sign-out. */
  forget(): Promise<void>;
  /** Listens until the function it returns is called. What a listener throws is reported as an error. */
  on<K extends keyof ClientEvents>(type: K, fn: (e: ClientEvents[K]) => void): () => void;
  /** Follows a topic, on every connection from now on. */
  join(topic: string): void;
  leave(topic: string): void;
  /** Changes what the person has read: now, or when there is a connection again. */
  read(change: ReadChange): void;
  /**
   * Sends a signal to the members of a topic that this session has joined. False: it was not sent, since
   * there is no connection, it is no valid signal, or it is one of more than 10 at once and 2 a second after that.
   */
  signal(topic: string, name: string, payload?: Readonly<Record<string, unknown>>): boolean;
  /**
   * Reads a page of the history.
   * @throws HistoryError with the HTTP status (0: no answer), or the reason of `query.signal`.
   */
  history(query?: HistoryQuery): Promise<HistoryPage>;
}

/** An entry of the inbox. */
export interface Notification<K extends string = string> {
  readonly id: string;
  readonly type: K;
  /** When it was stored, in milliseconds since 1970. */
  readonly ts: number;
  readonly to: Audience;
  readonly collapse?: string;
  readonly expires?: number;
  readonly payload: PayloadOf<K>;
  readonly read: boolean;
}

/** What an inbox shows. A new object whenever something changes, otherwise the same. */
export interface InboxState {
  /** Newest first; those to the person and to everybody, not those of topics. */
  readonly items: readonly Notification[];
  /** How many are unread, those that are not among the items included; at most 1000 of these. */
  readonly unread: number;
  /** `loading`: nothing is known yet; `error`: the history could not be read, and is asked again. */
  readonly status: 'loading' | 'ready' | 'error';
  /** Why, in English, when `status` is `error`, or when the last page could not be loaded. */
  readonly error?: string;
  /** The server has older ones: `loadMore`. */
  readonly more: boolean;
  /** A page is being loaded. */
  readonly busy: boolean;
  readonly connection: ConnectionState;
}

/** The list of notifications, kept true: by events, the history, and read state. */
export interface Inbox {
  getState(): InboxState;
  /** Calls `fn` after changes until the function it returns is called. */
  subscribe(fn: () => void): () => void;
  /** Shows what the device has stored, and follows the client. It does not start the client. */
  start(): void;
  stop(): void;
  /** Reads the newest page of the history again. Does not reject: see `state.error`. */
  refresh(): Promise<void>;
  /** Adds the next older page. Does not reject: see `state.error`. */
  loadMore(): Promise<void>;
  markRead(...ids: string[]): void;
  markUnread(...ids: string[]): void;
  markAllRead(): void;
  /**
   * Calls `fn` with each event that came on the socket, now or after an absence, and is new to this
   * device and not read: what a toast may be shown for. Those of topics are among them.
   */
  onArrival(fn: (n: Notification) => void): () => void;
}

export interface InboxOptions {
  /** How many items are kept in the store, and in the list while events come in; default 200. */
  cap?: number;
  /** Default: the client's. */
  store?: Store;
}

/**
 * Whether an event, a notification or an entry of the history is of a type, for its typed payload. The
 * server has checked the payload by the schema of the type; this does not check it again.
 */
export function isEvent<E extends { readonly type: string; readonly payload: unknown }, K extends KnownEventType>(
  e: E,
  type: K,
): e is E & { readonly type: K; readonly payload: PayloadOf<K> } {
  return e.type === type;
}
