import { browserEnvironment } from '@socialvibes/vibemesh-client';

/** In a browser: its online and offline events, and whether the page is seen. */
export const platformEnvironment = browserEnvironment();
