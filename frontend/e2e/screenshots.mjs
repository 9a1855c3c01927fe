// Writes pictures of all screens, in both colour schemes and sizes, into a folder:
//
//   node e2e/screenshots.mjs <folder>
//
// It needs what the tests need; see run.mjs. docs/images/app holds some of them.
process.env.E2E_PICTURES = process.argv[2] ?? 'pictures';
process.env.E2E_ONLY = 'pictures';
await import('./run.mjs');
