// One device of one person: a browser context, what the person does at it, and what is to be seen.
import assert from 'node:assert/strict';
import { project } from './emulator.mjs';
import { misfits, noteToasts, scrollList } from './in-page.mjs';
import { patience, until } from './until.mjs';
import { words } from './words.mjs';

// What Chromium logs when a request has failed. Only a test that has it fail may have that in the page's log.
const network = /^Failed to load resource|^WebSocket connection to .* failed|net::ERR_/;

export class Device {
  faults = [];
  /** The WebSockets to the mesh that the page has opened: the frames that went each way, as objects. */
  sockets = [];
  /** The test makes requests fail. */
  failing = false;

  static async open(stage, { person, prepare, ...options } = {}) {
    const device = new Device();
    device.stage = stage;
    device.person = person;
    device.gateway = await stage.mesh.gateway();
    device.context = await stage.browser.newContext({ locale: 'en-GB', timezoneId: 'UTC', viewport: { width: 1280, height: 800 }, ...options });
    device.words = words[(options.locale ?? 'en').slice(0, 2)];
    device.page = await device.context.newPage();
    device.page.setDefaultTimeout(patience);
    device.#listen();
    await device.page.addInitScript(noteToasts);
    await prepare?.(device);
    const query = new URLSearchParams({ server: device.gateway.url, emulator: stage.emulator.host, project });
    await device.page.goto(`${stage.origin}/?${query}`);
    if (person) await device.signIn();
    return device;
  }

  #listen() {
    this.page.on('pageerror', (error) => this.faults.push(String(error)));
    this.page.on('console', (message) => {
      const caused = this.failing && network.test(message.text());
      if (message.type() === 'error' && !caused) this.faults.push(message.text());
    });
    this.page.on('websocket', (socket) => {
      if (!socket.url().includes('/api/v1/ws')) return;
      const seen = { url: new URL(socket.url()), sent: [], received: [], closed: false };
      this.sockets.push(seen);
      socket.on('framesent', ({ payload }) => seen.sent.push(JSON.parse(payload)));
      socket.on('framereceived', ({ payload }) => seen.received.push(JSON.parse(payload)));
      socket.on('close', () => { seen.closed = true; });
    });
  }

  /** The hello of the last socket; undefined while it has none, or has ended. */
  get hello() {
    const socket = this.sockets.at(-1);
    return socket?.closed === false ? socket.received.find((frame) => frame.type === 'hello') : undefined;
  }

  button(name, where = this.page) { return where.getByRole('button', { name, exact: true }); }

  async fillIn({ email, password }) {
    const { page, words: { signIn } } = this;
    await page.getByRole('radio', { name: signIn.email }).click();
    await page.getByLabel(signIn.address, { exact: true }).fill(email);
    await page.getByLabel(signIn.password, { exact: true }).fill(password);
    await this.button(signIn.submit).click();
  }

  async signIn() {
    await this.fillIn(this.person);
    await this.live();
    await this.badge(this.hello.unread); // what was broadcast before counts for whoever is new, too
  }

  /** Waits until events come live, and the list is there. */
  async live() {
    await until(`${this.person?.email} is live`, () => this.hello);
    await this.bell().waitFor();
  }

  bell() { return this.page.getByRole('banner').getByRole('button', { name: new RegExp(`^${this.words.bell}`) }); }

  /** How many the bell says are unread. */
  async unread() {
    return Number(/, ([\d.,]+) /.exec(await this.bell().getAttribute('aria-label'))?.[1].replace(/[.,]/g, '') ?? 0);
  }

  async badge(count) {
    const name = count > 0 ? this.words.unread(count) : this.words.bell;
    await this.button(name, this.page.getByRole('banner')).waitFor();
    const badge = this.bell().locator('[aria-hidden]').last();
    if (count > 0) assert.equal(await badge.textContent(), count > 99 ? '99+' : String(count));
  }

  toasts() { return this.page.getByRole('region', { name: this.words.toasts }); }

  toast(title) { return this.toasts().getByRole('button', { name: new RegExp(`^${RegExp.escape?.(title) ?? title}[.?!]`) }); }

  /** The toasts that have appeared so far, by title. */
  async shown() { return (await this.page.evaluate(() => globalThis.e2e.toasts)).map(titleOf); }

  /** Dismisses toasts, the first one first, until there are none. */
  async dismissAll() {
    const buttons = this.button(this.words.dismiss, this.toasts());
    await until('all toasts are dismissed', async () => {
      const count = await buttons.count();
      if (count > 0) await buttons.first().click({ timeout: 1000 }).catch(() => {}); // its time may be over meanwhile
      return count === 0;
    });
  }

  /** Dismisses all toasts, and the line that counts the others. */
  async noToasts() {
    await this.dismissAll();
    const more = this.toasts().getByRole('button');
    if (await more.count()) await more.click(); // leads to the list
    await until('no toast is left', async () => (await more.count()) === 0);
  }

  list() { return this.page.getByRole('region', { name: this.words.list, exact: true }); }

  row(title) { return this.list().locator('[data-row]', { hasText: title }); }

  /**
   * The titles in the list that begin so, newest first; one that stands there twice is there twice. There should be `count`:
   * it looks at the whole list, and for those that are missing until it loses patience.
   */
  async titles(beginning, count) {
    const titles = [];
    let ends = 0;
    await this.list().evaluate(scrollList, 'top');
    await until('the end of the list', async () => {
      const { rows, end } = await this.list().evaluate(scrollList, 'on');
      const seen = rows.map(titleOf).filter((title) => title.startsWith(beginning));
      titles.push(...seen.filter((title, n) => !titles.includes(title) || seen.indexOf(title) < n));
      ends = end ? ends + 1 : 0;
      return ends > 2 && titles.length >= count;
    }).catch(() => {}); // what is missing, the test will tell
    return titles;
  }

  /** Waits until this device has stored something with this title. */
  async kept(title) {
    const stored = (text) => Object.values(globalThis.localStorage).some((value) => value.includes(text));
    await until(`"${title}" is stored`, () => this.page.evaluate(stored, title));
  }

  /** Fails when something is wider than the window, or out of it. */
  async fits(what) {
    assert.deepEqual(await this.page.evaluate(misfits), [], what);
  }

  /** Without a network, as far as the page and the mesh can tell. */
  async offline(offline) {
    this.failing ||= offline;
    if (offline) this.gateway.cut();
    else this.gateway.mend();
    await this.context.setOffline(offline);
  }
}

// What is said of a toast or a row begins with its title, as a sentence.
const titleOf = (label) => label.split('. ')[0].replace(/\.$/, '');
