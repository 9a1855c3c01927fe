/** Puts texts after each other for a screen reader to say, with a full stop where one does not end by itself. */
export function sentences(...texts: readonly (string | false | undefined)[]): string {
  return texts
    .flatMap((text) => text || [])
    .map((text) => (/[.!?…]["'”»“)]?$/.test(text) ? text : `${text}.`))
    .join(' ');
}
