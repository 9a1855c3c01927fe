import type { EventPayloads } from '../core/ws/types';

/** The secret that `make run` gives its server. It is no secret: such a server listens on its own machine only. */
export const localSecret = 'local-development-secret';

/** Whom a test notification is for: the person alone, or everybody. */
export type PublishTarget = { user: string } | 'everybody';

/** Thrown when the server did not take what was to be published. */
export class PublishError extends Error {
  override readonly name = 'PublishError';

  /** `status` is HTTP's; 0: there was no answer. */
  constructor(readonly status: number, detail: string, options?: ErrorOptions) {
    super(detail, options);
  }
}

/**
 * Publishes a toast with the secret of a backend: for trying things with a server of one's own. An app that people use
 * must never hold such a secret.
 */
export async function publishToast(server: string, secret: string, toast: EventPayloads['toast'], target: PublishTarget): Promise<void> {
  let response: Response;
  try {
    response = await fetch(`${server}/api/v1/ws/toast`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-SV-KEY': secret },
      body: JSON.stringify(target === 'everybody' ? toast : { ...toast, to: target }),
    });
  } catch (error) {
    throw new PublishError(0, 'the server did not answer', { cause: error });
  }
  if (!response.ok) throw new PublishError(response.status, await detailOf(response));
}

/** The server's own words, of its problem document (RFC 9457). */
async function detailOf(response: Response): Promise<string> {
  const problem = (await response.json().catch(() => null)) as { detail?: unknown } | null;
  return typeof problem?.detail === 'string' ? problem.detail : `the server answered ${response.status}`;
}
