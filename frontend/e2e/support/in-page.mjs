// What the tests have a page remember of itself. These functions run in the page.
/* global document, MutationObserver, requestAnimationFrame */

/** Notes every toast that appears, in e2e.toasts, by its label. */
export function noteToasts() {
  globalThis.e2e = { toasts: [] };
  const note = (element) => {
    for (const button of [element, ...element.querySelectorAll('*')]) {
      // Beside the toast itself there is the button that dismisses it, and the one that leads to more.
      const toast = button.matches('#vibemesh-toasts [role=button]:has(+ [role=button])');
      if (toast) globalThis.e2e.toasts.push(button.getAttribute('aria-label'));
    }
  };
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) for (const node of addedNodes) if (node.nodeType === 1) note(node);
  }).observe(document, { childList: true, subtree: true });
}

/** Measures in e2e.longest the longest time between two frames, in milliseconds, from now on. */
export function watchFrames() {
  globalThis.e2e.longest = 0;
  let last = performance.now();
  const frame = () => {
    const now = performance.now();
    globalThis.e2e.longest = Math.max(globalThis.e2e.longest, now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

/** Waits for what moves, unless it moves for ever or tells the time: colours in between are nobody's choice. */
export function settle() {
  const moving = document.getAnimations().filter((animation) => {
    const { iterations, duration } = animation.effect.getTiming();
    return iterations !== Infinity && duration < 2000;
  });
  return Promise.allSettled(moving.map((animation) => animation.finished)).then(() => moving.length);
}
