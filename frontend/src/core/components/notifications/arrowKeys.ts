import { Platform } from 'react-native';

interface KeyPress {
  readonly key: string;
  readonly currentTarget: unknown;
  preventDefault(): void;
}

const steps: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1 };

/** Marks a row of a list for the arrow keys. */
export const arrowKeyRow = { dataSet: { row: '' } };

/**
 * Props of a list, in a browser: the arrow keys, Home and End move the focus from row to row, beside Tab, which visits
 * every button. Elsewhere the screen reader's own gestures do.
 */
export function arrowKeys() {
  return Platform.OS === 'web' ? { onKeyDown: move } : {};
}

function move(event: KeyPress) {
  const list = event.currentTarget;
  if (!(list instanceof HTMLElement)) return;
  const rows = Array.from(list.querySelectorAll<HTMLElement>('[data-row]'));
  const here = rows.findIndex((row) => row.parentElement?.contains(document.activeElement));
  if (here < 0) return;
  const next = event.key === 'Home' ? rows[0] : event.key === 'End' ? rows.at(-1) : rows[here + (steps[event.key] ?? 0)];
  if (!next || next === document.activeElement) return;
  event.preventDefault(); // the page would scroll, too
  next.focus();
}
