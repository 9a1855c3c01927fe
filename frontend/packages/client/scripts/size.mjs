// Bundles and minifies all that the package exports, and fails when that is too large to download.
import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';

const LIMIT = 8 * 1024;

const bundle = await rolldown({ input: new URL('../src/index.ts', import.meta.url).pathname });
const { output } = await bundle.generate({ format: 'esm', minify: true });
const code = output[0].code;
const size = gzipSync(code, { level: 9 }).length;
console.log(`all exports: ${code.length} bytes minified, ${size} gzip; the limit is ${LIMIT}`);
if (size > LIMIT) process.exitCode = 1;
