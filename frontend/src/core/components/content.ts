import type { Notification } from '@socialvibes/vibemesh-client';
import { resolveAction, safeImage, type Action } from '../links';

/** What the components show of an event: plain text, and addresses that passed the rules of `links`. */
export interface Content {
  title: string;
  teaser?: string;
  description?: string;
  image?: string;
  action?: Action & { label?: string };
}

/** Tells what to show of an event, or nothing for one that is not for people. An app passes its own for its own types. */
export type Describe = (event: Notification) => Content | undefined;

/**
 * Shows every event whose payload has the fields of a toast, whatever its type; others are not described. Nothing is
 * trusted: a field of another type counts as missing, and text is cut at the lengths of the toast's schema.
 */
export const describeEvent: Describe = (event) => describeWith(event);

/** The same, with other schemes for the action than https and sv. */
export function describeSchemes(schemes: readonly string[]): Describe {
  return (event) => describeWith(event, schemes);
}

function describeWith(event: Notification, schemes?: readonly string[]): Content | undefined {
  const payload: Readonly<Record<string, unknown>> = isObject(event.payload) ? event.payload : {};
  const title = oneLine(payload.title, 200);
  if (title === undefined) return undefined;
  const action = resolveAction(payload.action_url, schemes);
  return {
    title,
    teaser: oneLine(payload.teaser, 500),
    description: paragraphs(payload.description, 20_000),
    image: safeImage(payload.image_url),
    action: action && { ...action, label: oneLine(payload.action_label, 80) },
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

// Control characters have no look, and direction overrides would let a text pose as another.
const unseen = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\ufeff]/g;

function oneLine(value: unknown, longest: number): string | undefined {
  if (typeof value !== 'string') return undefined;
  const text = value.slice(0, longest * 4).replace(unseen, ' ').replace(/\s+/g, ' ').trim();
  return cut(text, longest) || undefined;
}

function paragraphs(value: unknown, longest: number): string | undefined {
  if (typeof value !== 'string') return undefined;
  const text = value.slice(0, longest * 4).replace(/\r\n?/g, '\n').replace(unseen, ' ').replace(/\n{3,}/g, '\n\n').trim();
  return cut(text, longest) || undefined;
}

// Cuts between characters, never inside of a surrogate pair.
function cut(text: string, longest: number): string {
  if (text.length <= longest) return text;
  const characters = Array.from(text);
  return characters.length <= longest ? text : `${characters.slice(0, longest - 1).join('').trimEnd()}…`;
}
