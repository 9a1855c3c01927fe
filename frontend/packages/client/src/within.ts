/** The result of some work, or an error when it takes longer than so many milliseconds. */
export function within<T>(ms: number, work: () => Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
    // What throws at once rejects, too: the work is not ours.
    const done = new Promise<T>((begin) => begin(work()));
    void done.then(resolve, reject).then(() => clearTimeout(timer));
  });
}
