import { Platform } from 'react-native';

/** In a browser: gives the keyboard's focus back before what has it goes away. Elsewhere the system does. */
export interface FocusReturn {
  /** The focus comes to something that may go: remembers where it was. */
  enter(event: { nativeEvent: unknown }): void;
  /** Something is about to go: puts the focus back where it was, if it is among what may go. */
  leave(): void;
}

const nothing: FocusReturn = { enter() {}, leave() {} };

/** `id` is that of the element around all that may go. */
export function createFocusReturn(id: string): FocusReturn {
  if (Platform.OS !== 'web') return nothing;
  const inside = (element: Element | null) => !!element?.closest(`#${id}`);
  let origin: HTMLElement | undefined;
  return {
    enter({ nativeEvent }) {
      const from: unknown = (nativeEvent as Partial<FocusEvent>).relatedTarget;
      if (from instanceof HTMLElement && !inside(from)) origin = from;
    },
    leave() {
      if (inside(document.activeElement)) origin?.focus();
    },
  };
}
