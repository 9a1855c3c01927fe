// The document of NATS and of the sockets, as AsyncAPI's own parser reads it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { DiagnosticSeverity, Parser } from '@asyncapi/parser/cjs/index.js';

const text = await readFile(new URL('../../internal/wire/asyncapi.json', import.meta.url), 'utf8');
const { document, diagnostics } = await new Parser().parse(text);

test('it is AsyncAPI 3.0, with nothing to complain about', () => {
  // Two rules ask for what is new since: another version of AsyncAPI, and tags.
  const wrong = diagnostics.filter((d) => d.severity <= DiagnosticSeverity.Warning);
  assert.deepEqual(wrong.map((d) => `${d.path.join('/')}: ${d.message} (${d.code})`), []);
  assert.equal(document.version(), '3.0.0');
});

test('every operation has a channel with its messages', () => {
  const operations = document.operations().all();
  assert.ok(operations.length >= 10, `${operations.length} operations`);
  for (const o of operations) {
    assert.equal(o.channels().length, 1, o.id());
    const names = o.channels()[0].messages().all().map((m) => m.id());
    assert.ok(o.messages().length > 0, `${o.id()} has no messages`);
    for (const m of o.messages()) assert.ok(names.includes(m.id()), `${o.id()}: ${m.id()} is not of its channel`);
  }
});

test('every message is in a channel', () => {
  const used = new Set(document.channels().all().flatMap((c) => c.messages().all().map((m) => m.id())));
  for (const m of document.components().messages().all()) assert.ok(used.has(m.id()), `${m.id()} is in no channel`);
});

test('what is wrong is found', async () => {
  const broken = JSON.parse(text);
  broken.operations.sendFrames.action = 'shout';
  broken.channels.user.messages['published.toast'].$ref = '#/components/messages/nothing';
  const found = (await new Parser().parse(JSON.stringify(broken))).diagnostics.filter((d) => d.severity === DiagnosticSeverity.Error);
  assert.ok(found.length >= 2, JSON.stringify(found));
});
