// Bundles the server and the page's script, packages of npm included: the image needs no node_modules.
import { build, context } from 'esbuild';

const common = { bundle: true, outdir: 'dist', sourcemap: true, logLevel: 'warning' };
const bundles = [
  { ...common, entryPoints: ['src/server.ts'], platform: 'node', target: 'node18', format: 'cjs' },
  { ...common, entryPoints: ['src/page.ts'], platform: 'browser', target: 'es2020' },
];

if (process.argv.includes('--watch')) {
  for (const options of bundles) await (await context(options)).watch();
} else {
  await Promise.all(bundles.map((options) => build(options))).catch(() => process.exit(1)); // esbuild has told why
}
