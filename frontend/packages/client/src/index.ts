// The Vibemesh client: everything an app needs is exported here.

export * from './codes.gen.js';
export * from './events.gen.js';
export * from './types.js';
export { createClient } from './client.js';
export { createInbox } from './inbox.js';
export { browserEnvironment } from './environment.js';
export { HistoryError } from './history.js';
export { isRead } from './readState.js';
export { localStore, memoryStore } from './storage.js';
