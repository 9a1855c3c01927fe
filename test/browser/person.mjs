// One person at the console: a browser context of their own, and what they do and see.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// What Chromium logs when the server is away or refuses: the tests' own doing.
const EXPECTED = /Failed to load resource|WebSocket connection to .* failed|ERR_CONNECTION_REFUSED/;

export class Person {
  /** Opens the console in a new context; the page's own errors end up in faults. */
  static async arrive(browser, url, options = {}) {
    const person = new Person();
    person.context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    person.page = await person.context.newPage();
    person.page.setDefaultTimeout(15_000);
    person.faults = [];
    person.page.on('pageerror', (e) => person.faults.push(String(e)));
    person.page.on('console', (m) => m.type() === 'error' && !EXPECTED.test(m.text()) && person.faults.push(m.text()));
    await person.page.goto(url);
    return person;
  }

  async signIn(name) {
    await this.page.getByLabel('Name').fill(name);
    await this.page.getByRole('button', { name: 'Sign in' }).click();
    await this.live();
    return this;
  }

  async live() { await this.page.locator('#pill[data-state="live"]').waitFor(); }

  async cut() {
    await this.page.getByRole('button', { name: 'Cut the connection' }).click();
    await this.page.locator('#pill[data-state="cut"]').waitFor();
  }

  async reconnect() {
    await this.page.getByRole('button', { name: 'Reconnect' }).click();
    await this.live();
  }

  /** Fills in the form and publishes; to is {user}, {topic} or nothing for everybody. */
  async fill(fields, to = {}) {
    const page = this.page, kind = to.user ? 'A user' : to.topic ? 'A topic' : 'Everybody';
    await page.getByRole('radio', { name: kind }).check();
    if (kind !== 'Everybody') await page.locator('#to').fill(to.user ?? to.topic);
    await page.locator('#more').evaluate((d) => { d.open = true; });
    for (const id of ['title', 'teaser', 'description', 'image_url', 'action_label', 'action_url']) {
      await page.locator(`#${id}`).fill(fields[id] ?? '');
    }
    await page.getByRole('button', { name: 'Publish', exact: true }).click();
  }

  async publish(fields, to) {
    await this.fill(typeof fields === 'string' ? { title: fields } : fields, to);
    await this.page.locator('#outcome[data-tone="good"]').waitFor();
  }

  /** Waits for an event in the list. */
  async sees(title) { await this.page.locator('.event h3', { hasText: title }).first().waitFor(); }

  /** Waits for a toast on the screen. */
  async toast(title) { await this.page.locator('.toast .toast-title', { hasText: title }).first().waitFor(); }

  /** What the list says of events whose title begins so, oldest first. */
  async events(prefix) {
    const all = await this.page.locator('.event').evaluateAll((rows) => rows.map((row) => ({
      title: row.querySelector('h3').textContent, from: row.dataset.from, replayed: !!row.querySelector('.replayed'), id: row.dataset.id,
      audience: row.querySelector('.event-head .tag').textContent,
    })));
    return all.filter((e) => e.title.startsWith(prefix)).reverse();
  }

  /** Fails on any accessibility violation of the page as it is now. */
  async accessible(what) {
    await this.page.evaluate(axe);
    // Colours in the middle of an animation are nobody's choice.
    await this.page.evaluate(() => Promise.all(document.getAnimations().filter((a) => a.animationName !== 'run-out' && a.effect.getTiming().iterations !== Infinity).map((a) => a.finished)));
    const { violations, passes } = await this.page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    assert.ok(passes.length > 10, `axe looked at too little: ${passes.length} passes`);
    assert.deepEqual(violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => `${n.html} ${n.failureSummary}`).join(' | ')}`), [], what);
  }

  /** Fails when the page is wider than its window. */
  async fits(what) {
    const [content, width] = await this.page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
    assert.ok(content <= width, `${what}: ${content} px of content in ${width} px`);
  }

  async leave() {
    assert.deepEqual(this.faults, [], 'the page has logged errors');
    await this.context.close();
  }
}
