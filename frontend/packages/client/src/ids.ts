// Event ids: partition, life of the log and sequence, in base 36, joined by dashes.

const SHAPE = /^(?:[0-9a-z]|[1-6][0-9a-z]|7[0-3])-(0|[1-9a-z][0-9a-z]{0,12})-(0|[1-9a-z][0-9a-z]{0,12})$/;
const MAX_UINT64 = '3w5e11264sgsf';

/** Whether a value is the id of an event: of partition 0 to 255, with numbers of 64 bits. */
export function isEventId(id: unknown): id is string {
  const found = typeof id === 'string' && SHAPE.exec(id);
  return !!found && found.slice(1).every((number) => compareNumbers(number, MAX_UINT64) <= 0);
}

/** Compares numbers of base 36 without leading zeros, which may pass 2^53; and ids that differ in their last number. */
export function compareNumbers(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}
