// Characters that nobody sees, or that change what others look like: control characters, every kind of space, zero-width
// and direction marks, soft hyphens, unassigned specials. They have no place in an address.
const hidden: readonly (readonly [first: number, last: number])[] = [
  [0x00, 0x20], [0x7f, 0xa0], [0xad, 0xad], [0x034f, 0x034f], [0x061c, 0x061c], [0x115f, 0x1160], [0x1680, 0x1680],
  [0x17b4, 0x17b5], [0x180b, 0x180f], [0x2000, 0x200f], [0x2028, 0x202f], [0x205f, 0x206f], [0x3000, 0x3000], [0x3164, 0x3164],
  [0xfe00, 0xfe0f], [0xfeff, 0xfeff], [0xffa0, 0xffa0], [0xfff0, 0xffff], [0xe0000, 0xe0fff],
];

/** Whether a text holds a character that is not to be seen, or half of a surrogate pair. */
export function hasHidden(text: string): boolean {
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code >= 0xd800 && code <= 0xdfff) return true;
    if (hidden.some(([first, last]) => code >= first && code <= last)) return true;
  }
  return false;
}
