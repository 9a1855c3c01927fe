// What the tests have a page remember of itself. These functions run in the page.
/* global document, getComputedStyle, innerWidth, MutationObserver, requestAnimationFrame */

/** Notes every toast that appears, in e2e.toasts, by its label. */
export function noteToasts() {
  globalThis.e2e = { toasts: [] };
  const noted = new WeakSet(); // one that fades away is put in again, for that time
  const note = (element) => {
    for (const button of [element, ...element.querySelectorAll('*')]) {
      // Beside the toast itself there is the button that dismisses it, and the one that leads to more.
      const toast = button.matches('#vibemesh-toasts [role=button]:has(+ [role=button])');
      if (!toast || noted.has(button)) continue;
      noted.add(button);
      globalThis.e2e.toasts.push(button.getAttribute('aria-label'));
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

/** What does not fit into the width of the window: by tag, label and place. */
export function misfits() {
  const found = [];
  const tell = (element, what) => found.push(`${what}: <${element.tagName.toLowerCase()}> ${element.getAttribute('aria-label') ?? element.textContent.slice(0, 60)}`);
  const page = document.scrollingElement;
  if (page.scrollWidth > innerWidth) tell(page, `${page.scrollWidth} px of page in ${innerWidth} px`);
  for (const element of document.querySelectorAll('body *')) {
    const { overflowX, visibility } = getComputedStyle(element);
    if (visibility === 'hidden' || element.closest('[aria-hidden=true], svg')) continue;
    const sideways = /auto|scroll/.test(overflowX) && element.scrollWidth > element.clientWidth + 1;
    if (sideways) tell(element, 'scrolls sideways');
    const { left, right, width } = element.getBoundingClientRect();
    const seen = width > 1 && element.matches('[role], input, [dir]'); // what can be read or pressed
    if (seen && (left < -1 || right > innerWidth + 1)) tell(element, `from ${Math.round(left)} to ${Math.round(right)} px`);
  }
  return found;
}

/** Scrolls a list that makes its rows as they are needed: to the top, or on. Answers with the rows that were there before. */
export function scrollList(list, where) {
  // Around the element that scrolls there is another one that could; a short list needs neither.
  const scrollers = [...list.querySelectorAll('*')].filter((element) => /auto|scroll/.test(getComputedStyle(element).overflowY));
  const scroller = scrollers.find((element) => element.scrollHeight > element.clientHeight + 1) ?? scrollers[0];
  if (where === 'top') return void scroller.scrollTo(0, 0);
  const rows = [...list.querySelectorAll('[data-row]')];
  const { bottom } = scroller.getBoundingClientRect();
  const end = scroller.scrollTop + scroller.clientHeight >= scroller.scrollHeight - 1;
  // Not before there are rows down to the bottom: those that are not made yet would be passed over.
  if (!end && rows.at(-1)?.getBoundingClientRect().bottom >= bottom) scroller.scrollBy(0, scroller.clientHeight / 2);
  return { rows: rows.map((row) => row.getAttribute('aria-label')), end };
}
