// Accessibility, by axe.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { settle } from './in-page.mjs';
import { until } from './until.mjs';

const axe = readFileSync(fileURLToPath(new URL('../../../test/browser/node_modules/axe-core/axe.min.js', import.meta.url)), 'utf8');

/** Fails on any accessibility violation of what a page shows now. */
export async function accessible({ page }, what) {
  await until(`${what} is at rest`, async () => (await page.evaluate(settle)) === 0);
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(globalThis.document, { resultTypes: ['violations'] }));
  assert.ok(passes.length > 5, `axe looked at too little of ${what}: ${passes.length} passes`);
  const found = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(' | ')}`);
  assert.deepEqual(found, [], what);
}
