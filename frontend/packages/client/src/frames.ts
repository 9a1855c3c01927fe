// The frames of the protocol: what a server says, checked field by field, and what a client says.

import { isEventId } from './ids.js';
import { MAX_READ_IDS } from './readState.js';
import type { AnyEvent, GapFrame, HelloFrame, HistoryEvent, ReadChange, ReadFrame, ReadState, SignalFrame, SubscribedFrame } from './types.js';

/** A message with more characters is no frame: an event has 64 KiB, a read state names at most some thousand ids. */
export const MAX_MESSAGE = 256 * 1024;

/** A frame of the protocol itself. */
export type OwnFrame =
  | HelloFrame
  | GapFrame
  | ReadFrame
  | SignalFrame
  | SubscribedFrame
  | { readonly type: 'error'; readonly code: string; readonly message: string }
  | { readonly type: 'reconnect'; readonly after_ms: number }
  | { readonly type: 'pong'; readonly cursor: string }
  | { readonly type: 'auth'; readonly expires: number };

export type ServerFrame = OwnFrame | AnyEvent;

export type ClientFrame =
  | { type: 'ping' }
  | { type: 'auth'; token: string }
  | { type: 'subscribe' | 'unsubscribe'; topic: string }
  | ({ type: 'read' } & ReadChange)
  | { type: 'signal'; topic: string; name: string; payload?: Readonly<Record<string, unknown>> };

type Fields = Record<string, unknown>;
type Check = (value: unknown) => boolean;

/** The fields of something, and what each has to be. */
type Shape = Record<string, Check>;

export const isObject = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v);
export const isNumber = Number.isFinite as (v: unknown) => v is number;
const isBoolean: Check = (v) => typeof v === 'boolean';
const matches = (pattern: RegExp): Check => (v) => typeof v === 'string' && pattern.test(v);
const isString = matches(/^/);
const isText = matches(/[^]/);
const isAudience = matches(/^(?:user|broadcast|topic:[^]+)$/);
/** Opaque, but it becomes part of an address. */
export const isCursor = matches(/^[!-~]{1,8192}$/) as (v: unknown) => v is string;
const isList = (of: Check): Check => (v) => Array.isArray(v) && v.every(of);
const optional = (check: Check): Check => (v) => v === undefined || check(v);
const areIds = optional(isList(isEventId));

/** The names of the protocol's own frames cannot name an event. */
const isName = matches(/^(?!(?:ping|(?:un)?subscribe)$)[a-z][a-z0-9_.-]{0,63}$/);
const isEventType: Check = (v) => isName(v) && !SHAPES.has(v);
const isCollapse = matches(/^[A-Za-z0-9_.:/-]{1,64}$/);

const ENTRY: Shape = {
  type: isEventType, id: isEventId, ts: isNumber, to: isAudience, collapse: optional(isCollapse), expires: optional(isNumber), payload: isObject,
};
const EVENT: Shape = { ...ENTRY, cursor: isCursor };
const HISTORY_EVENT: Shape = { ...ENTRY, read: isBoolean };

const CHANGE: Shape = {
  up_to: optional(isEventId), all: optional(isBoolean), read: areIds, unread: areIds,
  at: optional((v) => Number.isSafeInteger(v) && (v as number) >= 0),
};

const READ_STATE: Shape = { up_to: areIds, read: areIds, unread: areIds };

/** What each frame of the server consists of; others are events. A Map: `constructor` is a fine event type. */
const SHAPES = new Map<unknown, Shape>([
  ['hello', { session: isString, node: isString, cursor: isCursor, resumed: isBoolean, ping: isNumber, expires: isNumber, unread: optional(isNumber) }],
  ['gap', { reason: isText, cursor: isCursor }],
  ['read', { cursor: isCursor, ...READ_STATE }],
  ['subscribed', { topics: isList(isText), cursor: isCursor }],
  ['error', { code: isText, message: isString }],
  ['reconnect', { after_ms: isNumber }],
  ['pong', { cursor: isCursor }],
  ['auth', { expires: isNumber }],
  ['signal', { name: isEventType, to: isAudience, from: optional(isText), payload: optional(isObject) }],
]);

/** The object that a text is; one without fields, when it is none. */
export function parseObject(text: string | null): Fields {
  try {
    const value: unknown = JSON.parse(text ?? '');
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

/** The named fields of a value, if each is as it has to be. The others are passed over. */
function pick(value: unknown, shape: Shape): Fields | undefined {
  if (!isObject(value)) return undefined;
  const picked: Fields = {};
  for (const [name, check] of Object.entries(shape)) {
    if (!check(value[name])) return undefined;
    if (value[name] !== undefined) picked[name] = value[name];
  }
  return picked;
}

/** Reads a message of the server; undefined: it is no frame of the protocol. */
export function decodeFrame(text: string): ServerFrame | undefined {
  const value = parseObject(text);
  return pick(value, { type: isText, ...(SHAPES.get(value.type) ?? EVENT) }) as ServerFrame | undefined;
}

/** Whether a frame is one of the protocol itself, and no event. */
export const isOwn = (frame: ServerFrame): frame is OwnFrame => SHAPES.has(frame.type);

/** Reads an event of the history, or one that was stored. */
export const pickHistoryEvent = (value: unknown) => pick(value, HISTORY_EVENT) as HistoryEvent | undefined;

/** Reads a read state that was stored. */
export const pickReadState = (value: unknown) => pick(value, READ_STATE) as ReadState | undefined;

/** Reads a change of the read state, its fields in the order of the protocol's vectors, and refuses what a server would. */
export function pickChange(value: unknown): ReadChange | undefined {
  const change = pick(value, CHANGE) as ReadChange | undefined;
  return change && (change.read ?? []).length + (change.unread ?? []).length <= MAX_READ_IDS ? change : undefined;
}

/** The bytes of a text, or of the JSON of something else, as UTF-8; Infinity: it has none, as half of a surrogate pair. */
function byteLength(value: unknown): number {
  try {
    return encodeURIComponent(typeof value === 'string' ? value : JSON.stringify(value)).replace(/%../g, '.').length;
  } catch {
    return Infinity;
  }
}

/** Whether a topic can be joined. */
export const isTopic = (topic: string) => topic !== '' && byteLength(topic) <= 128;

/** Whether the server would take a signal. */
export const isSignal = (topic: string, name: string, payload: unknown) =>
  isTopic(topic) && isEventType(name) && (payload === undefined || (isObject(payload) && byteLength(payload) <= 1024));

/** The query of an address: those parameters that have a value. */
export function formatQuery(parameters: Record<string, string | number | boolean | null | undefined>): string {
  const given = Object.entries(parameters).filter(([, value]) => value) as [string, string][];
  return given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
}
