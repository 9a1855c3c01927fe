// What the console shows. A payload is text from strangers: it is only ever put into
// textContent.
import { clock, Connection } from './connection.js';
import { mintDev, subject } from './tokens.js';

const $ = (id) => document.getElementById(id);
const MAX_ROWS = 500, MAX_TOASTS = 4;
const config = { dev: false, project: '', publish_claim: '', version: '' };
let me = null; // { uid, token(), topics: Set, ids: Set, cursor, next }
let connection = null, countdown = 0;

function el(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children.filter(Boolean));
  return node;
}

// The schemes that the toast's schema refuses are refused here, too: a message of
// another type may hold anything.
const REFUSED = /^(http|ws|wss|ftp|file|data|blob|javascript|vbscript|about|intent|content|view-source|filesystem):/i;
const safeLink = (url) => typeof url === 'string' && /^[a-z][a-z0-9+.-]*:\/\/[^\s]+$/.test(url) && !REFUSED.test(url);
const safePicture = (url) => typeof url === 'string' && /^https:\/\/[^\s]+$/.test(url);
const textOf = (value) => (typeof value === 'string' ? value : '');

function actionOf(payload) {
  if (!safeLink(payload.action_url)) return null;
  const label = textOf(payload.action_label) || 'Open';
  return el('a', { className: 'action', href: payload.action_url, target: '_blank', rel: 'noopener noreferrer', textContent: label });
}

function pictureOf(payload) {
  if (!safePicture(payload.image_url)) return null;
  const img = el('img', { className: 'thumb', alt: '', referrerPolicy: 'no-referrer', loading: 'lazy' });
  img.addEventListener('error', () => img.remove());
  img.src = payload.image_url;
  return img;
}

function audienceOf(event) {
  const to = textOf(event.to);
  if (to === 'user') return el('span', { className: 'tag user', textContent: 'to you' });
  if (to.startsWith('topic:')) return el('span', { className: 'tag topic', textContent: `topic ${to.slice(6)}` });
  return el('span', { className: 'tag', textContent: 'everybody' });
}

function timeOf(ts) {
  const at = new Date(ts), today = new Date().toDateString() === at.toDateString();
  const text = today ? at.toLocaleTimeString() : at.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
  return el('time', { dateTime: at.toISOString(), textContent: text, title: at.toLocaleString() });
}

// --- the list of events

function rowOf(event, from) {
  const payload = event.payload && typeof event.payload === 'object' ? event.payload : {};
  const toast = event.type === 'toast';
  const row = el('li', { className: 'event' });
  row.dataset.id = event.id;
  row.dataset.ts = event.ts;
  row.dataset.from = from;
  const more = el('details', {}, el('summary', { textContent: 'Details' }));
  if (toast && textOf(payload.description)) more.append(el('p', { textContent: payload.description }));
  more.append(el('pre', { textContent: toast ? `id ${event.id}` : `id ${event.id}\n${JSON.stringify(payload, null, 2)}` }));
  row.append(
    el('div', { className: 'event-head' },
      audienceOf(event),
      from === 'replay' && el('span', { className: 'tag replayed', textContent: 'replayed' }),
      timeOf(event.ts)),
    el('h3', { textContent: (toast && textOf(payload.title)) || event.type }));
  if (toast && textOf(payload.teaser)) row.append(el('p', { textContent: payload.teaser }));
  const action = actionOf(payload), picture = toast && pictureOf(payload);
  if (picture) row.append(picture);
  if (action) row.append(action);
  row.append(more);
  return row;
}

// take shows an event once, in its place by time. Says whether it was new.
function take(event, from) {
  if (typeof event.id !== 'string' || me.ids.has(event.id) || !Number.isFinite(event.ts) || Math.abs(event.ts) > 8.64e15) return false;
  me.ids.add(event.id);
  if (me.ids.size > 20 * MAX_ROWS) me.ids.delete(me.ids.values().next().value); // the oldest known
  const row = rowOf(event, from), list = $('list');
  let next = list.firstElementChild;
  while (next && Number(next.dataset.ts) > event.ts) next = next.nextElementSibling;
  list.insertBefore(row, next);
  if (from !== 'history') row.classList.add('unread', 'fresh');
  while (list.childElementCount > MAX_ROWS && from !== 'history') list.lastElementChild.remove();
  tally();
  return true;
}

function tally() {
  const list = $('list'), unread = list.querySelectorAll('.unread').length;
  $('count').textContent = list.querySelectorAll('.event').length;
  $('empty').hidden = list.childElementCount > 0;
  $('seen').disabled = unread === 0;
  $('badge').hidden = unread === 0;
  $('badge').textContent = unread > 99 ? '99+' : unread;
  $('bell-text').textContent = `Notifications, ${unread || 'none'} unread`;
  document.title = unread ? `(${unread}) Vibemesh` : 'Vibemesh';
}

function markSeen() {
  for (const row of $('list').querySelectorAll('.unread')) row.classList.remove('unread');
  tally();
}

const GAPS = {
  retention: 'The log no longer holds some of what you missed.',
  limit: 'You missed more than one resume replays. The newest follow.',
  unknown: 'This log has begun anew: what you missed cannot be told.',
};

function showGap(frame) {
  const row = el('li', { className: 'gap', textContent: `Gap. ${GAPS[frame.reason] ?? 'Some events were not replayed.'}` });
  row.dataset.ts = $('list').firstElementChild?.dataset.ts ?? 0; // what follows is newer than what is here
  $('list').prepend(row);
  tally();
}

async function loadHistory(before) {
  const owner = me, sent = Date.now(), query = before ? `?before=${encodeURIComponent(before)}` : '';
  try {
    const response = await fetch(`/api/v1/ws/history${query}`, { headers: { Authorization: `Bearer ${owner.token()}` } });
    clock.note(response, sent);
    if (!response.ok || me !== owner) return;
    const page = await response.json();
    for (const event of page.events.reverse()) take(event, 'history'); // oldest first: equal times keep their order
    if (before || !owner.paged) owner.next = page.next ?? '';
    owner.paged = true;
    $('older').hidden = !owner.next;
  } catch { /* the connection's state says that the server is away */ }
}

// --- toasts

function pop(event, replayed) {
  const payload = event.payload ?? {}, title = textOf(payload.title) || event.type;
  const close = el('button', { type: 'button', textContent: '×', ariaLabel: `Dismiss: ${title}` });
  const card = el('div', { className: 'toast' },
    pictureOf(payload),
    el('div', { className: 'toast-body' },
      replayed && el('span', { className: 'tag replayed', textContent: 'replayed' }),
      el('p', { className: 'toast-title', textContent: title }),
      textOf(payload.teaser) && el('p', { textContent: payload.teaser }),
      actionOf(payload)),
    close, el('span', { className: 'clock', ariaHidden: 'true' }));
  card.dataset.id = event.id;
  close.addEventListener('click', () => dismiss(card));
  // The clock stops under the pointer and while the focus is in here (style.css).
  card.addEventListener('animationend', (e) => e.animationName === 'run-out' && dismiss(card));
  const stack = $('toasts');
  stack.append(card);
  while (stack.childElementCount > MAX_TOASTS) stack.firstElementChild.remove();
}

function dismiss(card) {
  if (!card || card.classList.contains('leaving')) return;
  const focused = card.contains(document.activeElement);
  card.classList.add('leaving');
  if (focused) (document.querySelector('.toast:not(.leaving) button') ?? $('events-title')).focus();
  setTimeout(() => card.remove(), 200);
}

// --- the connection, as the page shows it

const PILL = { idle: 'Offline', connecting: 'Connecting', live: 'Live', waiting: 'Reconnecting', cut: 'Cut', stopped: 'Stopped' };

function say(text, tone = '') {
  $('state').dataset.tone = tone;
  if ($('state').textContent !== text) $('state').textContent = text;
}

function onState(name, detail) {
  clearInterval(countdown);
  $('pill').dataset.state = $('line').dataset.state = name;
  $('pill-text').textContent = PILL[name];
  const up = name === 'live' || name === 'connecting';
  const active = document.activeElement === $('cut') || document.activeElement === $('reconnect');
  $('cut').hidden = !up;
  $('reconnect').hidden = up;
  if (active) (up ? $('cut') : $('reconnect')).focus();
  if (name !== 'live') $('rtt').textContent = '–';
  switch (name) {
    case 'connecting': say('Connecting…'); break;
    case 'live': showLive(detail); break;
    case 'cut': say('Cut. What is published now waits for you: reconnect, and it is replayed.'); break;
    case 'stopped': say(detail.text, 'bad'); break;
    case 'waiting': {
      const tick = () => say(`Connection lost (${detail.code}). Next try ${Math.max(0, Math.ceil((detail.until - Date.now()) / 1000)) || 'now'}${detail.until - Date.now() > 0 ? ' s' : ''}.`);
      countdown = setInterval(() => ($('state').ariaLive = 'off', tick()), 1000);
      tick();
    }
  }
  if (name !== 'waiting') $('state').ariaLive = 'polite';
}

function showLive(hello) {
  $('node').textContent = $('node').title = $('line-node').textContent = textOf(hello.node) || 'node';
  $('session').textContent = $('session').title = textOf(hello.session);
  say(hello.resumed ? 'Live. Resumed where you left off.' : 'Live. New events arrive here.');
  if (!me.paged) loadHistory();
}

function onFrame(frame, dialled) {
  if (frame.cursor) $('cursor').textContent = $('cursor').title = frame.cursor;
  switch (frame.type) {
    case 'hello': case 'pong': case 'read': case 'subscribed': return;
    case 'reconnect': say('This node is about to stop. Moving to another.'); return;
    case 'error': joinFailed(textOf(frame.message)); return;
    case 'gap': showGap(frame); loadHistory(); return;
  }
  const replayed = frame.ts < clock.server(dialled); // stored before this connection was asked for
  if (!take(frame, replayed ? 'replay' : 'live')) return;
  pulse();
  if (frame.type === 'toast') pop(frame, replayed);
}

// pulse sends a bead along the line, from the node to the person.
function pulse() {
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  $('line').querySelector('i').animate([{ left: '100%', opacity: 1 }, { left: '0', opacity: 1 }], { duration: 500, easing: 'ease-in-out' });
}

// --- topics

function showTopics() {
  $('topics').replaceChildren(...[...me.topics].map((topic) => {
    const leave = el('button', { type: 'button', textContent: `${topic} ×`, ariaLabel: `Leave ${topic}` });
    leave.addEventListener('click', () => {
      me.topics.delete(topic);
      connection.send({ type: 'unsubscribe', topic });
      showTopics();
      $('join-topic').focus();
    });
    return el('li', {}, leave);
  }));
}

function joinFailed(text) { fault('join', text, $('join-topic')); }

function join(e) {
  e.preventDefault();
  const topic = $('join-topic').value.trim();
  fault('join', '', $('join-topic'));
  if (!topic || topic.includes(',') || new TextEncoder().encode(topic).length > 128) {
    joinFailed('A topic here has 1 to 128 bytes and no comma.');
    return;
  }
  me.topics.add(topic);
  connection.send({ type: 'subscribe', topic });
  $('join-topic').value = '';
  showTopics();
}

// --- publishing

const FIELDS = ['title', 'teaser', 'description', 'image_url', 'action_label', 'action_url'];
let retryKey = ''; // the same request keeps its key until it is known to be stored

function fault(id, text, input = $(id)) {
  const p = $(`${id}-error`);
  p.textContent = text;
  p.hidden = !text;
  if (text) input.setAttribute('aria-invalid', 'true');
  else input.removeAttribute('aria-invalid');
}

function outcome(text, tone = '') {
  $('outcome').textContent = text;
  $('outcome').dataset.tone = tone;
}

const kind = () => document.querySelector('input[name="kind"]:checked').value;

function showKind() {
  $('to-field').hidden = kind() === 'broadcast';
  $('to-label').textContent = kind() === 'topic' ? 'Topic' : 'User';
  $('to').placeholder = kind() === 'topic' ? 'chess' : 'bob';
}

function toastBody() {
  const body = { title: $('title').value };
  for (const field of FIELDS) if ($(field).value.trim()) body[field] = $(field).value.trim();
  if (kind() !== 'broadcast') body.to = { [kind()]: $('to').value.trim() };
  return body;
}

async function publish(e) {
  e.preventDefault();
  for (const field of [...FIELDS, 'to']) fault(field, '');
  outcome('Publishing…');
  $('send').disabled = true;
  retryKey ||= [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');
  try {
    const sent = Date.now();
    const response = await fetch('/api/v1/ws/toast', {
      method: 'POST', body: JSON.stringify(toastBody()), signal: AbortSignal.timeout(15_000),
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${me.token()}`, 'Idempotency-Key': retryKey },
    });
    clock.note(response, sent);
    const answer = await response.json();
    if (response.ok) stored(answer);
    else refused(response.status, answer);
  } catch {
    outcome('The server did not answer. Publish again: it will not be stored twice.', 'bad');
  } finally {
    $('send').disabled = false;
  }
}

function stored(receipt) {
  retryKey = '';
  outcome(`Stored as number ${receipt.seq} of the log, ${receipt.subject}${receipt.duplicate ? ' (it was there already)' : ''}.`, 'good');
}

// refused puts each error of the problem document beside its field.
function refused(status, problem) {
  if (status !== 503) retryKey = '';
  const rest = [];
  let first = null;
  for (const { location, message } of problem.errors ?? []) {
    const name = String(location).split('.')[1]?.replace(/\[.*/, '');
    const input = name === 'to' || FIELDS.includes(name) ? $(name) : null;
    if (!input) { rest.push(`${location} ${message}`); continue; }
    const before = $(`${name}-error`).textContent;
    fault(name, before ? `${before}; ${message}` : `${message[0].toUpperCase()}${message.slice(1)}`);
    if (input.closest('details')) $('more').open = true;
    if (!first || input.compareDocumentPosition(first) & Node.DOCUMENT_POSITION_FOLLOWING) first = input;
  }
  first?.focus();
  outcome(first && !rest.length ? 'Not published. Look at the marked fields.' : [problem.detail ?? `Error ${status}.`, ...rest].join(' '), 'bad');
}

const EXAMPLE = {
  title: 'Sunset session at the lake', teaser: 'Ada, Grace and 12 others are going.',
  description: 'Saturday from seven at the east shore. Bring a blanket and something to grill.',
  action_label: 'Count me in', action_url: 'sv://event/lake-sunset',
};

function fillExample() {
  for (const [field, text] of Object.entries(EXAMPLE)) $(field).value = text;
  retryKey = '';
  $('title').focus();
}

// --- signing in and out

function signIn(uid, token) {
  const key = `vibemesh.cursor.${config.project}.${uid}`;
  me = {
    uid, token, topics: new Set(), ids: new Set(), paged: false, next: '',
    cursor: { load: () => sessionStorage.getItem(key), save: (text) => sessionStorage.setItem(key, text) },
  };
  $('who').textContent = $('line-you').textContent = uid;
  $('who').title = `Signed in as ${uid}`;
  for (const id of ['list', 'topics', 'toasts']) $(id).replaceChildren();
  for (const id of ['node', 'session', 'cursor']) $(id).textContent = '–';
  outcome('');
  tally();
  show(true);
  connection ??= new Connection({
    token: () => me.token(), topics: () => [...me.topics], renew: config.dev,
    cursor: { load: () => me.cursor.load(), save: (text) => me.cursor.save(text) },
    onState, onFrame, onRoundTrip: (ms) => { $('rtt').textContent = `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`; },
  });
  connection.open();
  $('main').focus({ preventScroll: true });
  scrollTo(0, 0);
}

function signOut() {
  connection.stop();
  sessionStorage.removeItem('vibemesh.user');
  me = null;
  $('toasts').replaceChildren();
  document.title = 'Vibemesh';
  show(false);
  (config.dev ? $('name') : $('token')).focus();
}

function show(signedIn) {
  $('welcome').hidden = signedIn;
  $('desk').hidden = $('account').hidden = !signedIn;
}

function submitSignIn(e) {
  e.preventDefault();
  if (config.dev) {
    const uid = $('name').value.trim(), bytes = new TextEncoder().encode(uid).length;
    fault('name', bytes >= 1 && bytes <= 128 ? '' : 'A name has 1 to 128 bytes.');
    if (bytes < 1 || bytes > 128) { $('name').focus(); return; }
    sessionStorage.setItem('vibemesh.user', uid); // a reload signs in again
    signIn(uid, () => mintDev(uid, config));
    return;
  }
  const token = $('token').value.trim(), uid = subject(token);
  fault('token', uid ? '' : 'This is not an ID token: it has no readable subject.');
  if (!uid) { $('token').focus(); return; }
  $('token').value = '';
  signIn(uid, () => token);
}

async function start() {
  $('sign-in').addEventListener('submit', submitSignIn);
  $('sign-out').addEventListener('click', signOut);
  $('cut').addEventListener('click', () => connection.cut());
  $('reconnect').addEventListener('click', () => connection.open());
  $('join').addEventListener('submit', join);
  $('publish').addEventListener('submit', publish);
  $('publish').addEventListener('input', () => { retryKey = ''; showKind(); });
  $('example').addEventListener('click', fillExample);
  $('seen').addEventListener('click', markSeen);
  $('older').addEventListener('click', () => loadHistory(me.next));
  $('bell').addEventListener('click', () => {
    markSeen();
    $('events-title').scrollIntoView({ block: 'center' });
    $('events-title').focus();
  });
  addEventListener('keydown', (e) => {
    if (e.key === 'Escape') dismiss(document.activeElement?.closest('.toast') ?? [...$('toasts').querySelectorAll('.toast:not(.leaving)')].at(-1));
  });
  try {
    const sent = Date.now(), response = await fetch('/console/config.json');
    clock.note(response, sent);
    Object.assign(config, await response.json());
  } catch {
    $('main').prepend(el('p', { className: 'notice', textContent: 'The server did not answer. Reload the page to try again.' }));
    return;
  }
  $('version').textContent = `Vibemesh ${config.version}`;
  $('dev').hidden = $('name-field').hidden = !config.dev;
  $('token-field').hidden = config.dev;
  const again = config.dev && sessionStorage.getItem('vibemesh.user');
  if (again) signIn(again, () => mintDev(again, config));
  else show(false);
}

start();
