// A person with a device: a client, an inbox, and what they were told.
import { expect, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createClient, createInbox, memoryStore } from '../../src/index.js';
import type { AnyEvent, Client, ClientError, ClientOptions, GapFrame, HelloFrame, Inbox, Notification } from '../../src/index.js';
import { mint, type Mesh } from './mesh.js';

/** How long something that is to happen may take, in milliseconds. */
const DEADLINE = 30_000;

/** Waits until something holds. */
export const until = (holds: () => unknown, what: string) =>
  vi.waitFor(() => expect(holds(), what).toBeTruthy(), { timeout: DEADLINE, interval: 20 });

export class Person {
  readonly client: Client;
  readonly inbox: Inbox;
  readonly events: AnyEvent[] = [];
  readonly hellos: HelloFrame[] = [];
  readonly gaps: GapFrame[] = [];
  readonly errors: ClientError[] = [];
  readonly arrived: Notification[] = [];

  constructor(mesh: Mesh, user: string, options: Partial<ClientOptions> = {}) {
    this.client = createClient({ url: mesh.url, user, token: async () => mint(user), unread: true, WebSocket, store: memoryStore(), ...options });
    this.client.on('event', (e) => void this.events.push(e));
    this.client.on('hello', (e) => void this.hellos.push(e));
    this.client.on('gap', (e) => void this.gaps.push(e));
    this.client.on('error', (e) => void this.errors.push(e));
    this.inbox = createInbox(this.client);
    this.inbox.onArrival((n) => void this.arrived.push(n));
    this.inbox.start();
    this.client.start();
  }

  get titles(): unknown[] {
    return this.events.map((e) => e.payload.title);
  }

  /** The titles of the inbox, oldest first. */
  get list(): unknown[] {
    return this.inbox.getState().items.map((n) => n.payload.title).reverse();
  }

  get unread(): number {
    return this.inbox.getState().unread;
  }

  async live(): Promise<this> {
    await until(() => this.client.state === 'live' && this.inbox.getState().status === 'ready', 'live');
    return this;
  }

  leave(): void {
    this.inbox.stop();
    this.client.stop();
  }
}
