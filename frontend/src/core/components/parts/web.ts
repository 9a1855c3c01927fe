import { Platform, type ViewStyle } from 'react-native';
import type { Theme } from '../../theme';

// What only a browser knows. Elsewhere these styles and props are empty.

const web = Platform.OS === 'web';

/**
 * Colours the ring that the browser draws around what has the keyboard's focus. The outline's style is left to the
 * browser, so that it is drawn for the keyboard only, not after each click.
 */
export function focusRing(theme: Theme, offset = 2): ViewStyle {
  return web ? { outlineColor: theme.color.accent, outlineOffset: offset, outlineWidth: 3 } : {};
}

/** Lets hover and press colours fade instead of jump. */
export const fades = (web ? { transitionProperty: 'background-color, border-color, opacity', transitionDuration: '120ms' } : {}) as ViewStyle;

/** Props that make a text a heading of a level, 1 to 6; devices know headings without levels. */
export function heading(level: number) {
  return { role: 'heading' as const, ...(web && { 'aria-level': level }) };
}

/** Props of a button that leads to what is shown already. */
export function current(shown: boolean) {
  return web ? { 'aria-current': shown ? 'page' : undefined } : { 'aria-selected': shown };
}

/** Props that call `fn` when Escape is pressed inside. */
export function onEscape(fn: () => void) {
  return web ? { onKeyDown: (event: { key: string }) => event.key === 'Escape' && fn() } : {};
}

/** What Pressable tells its style: browsers add `hovered`. */
export interface PressState {
  readonly pressed: boolean;
  readonly hovered?: boolean;
}
