/** Bundles the runners: each page runner is what a web developer would ship for that library, minified. */
import { existsSync } from 'node:fs'
import { here } from './install.ts'
import { NODE_RUNNERS, PAGE_RUNNERS } from './peers.ts'

/** Bundles everything; returns a reason for each runner that could not be bundled. */
export async function bundle(): Promise<Map<string, string>> {
  const { build } = await import('esbuild')
  const failed = new Map<string, string>()
  const one = async (name: string, platform: 'node' | 'browser', entry = `runners/${name}.ts`): Promise<void> => {
    try {
      await build({
        entryPoints: { [name]: `${here}${entry}` },
        outdir: `${here}build`,
        chunkNames: `${name}-[hash]`,
        splitting: platform === 'browser',
        bundle: true,
        format: 'esm',
        target: 'es2022',
        platform,
        minify: platform === 'browser',
        external:
          platform === 'node'
            ? ['onnxruntime-node', '*/dist/node.js']
            : ['fs', 'path', 'crypto', 'os', 'worker_threads', 'perf_hooks', 'util', 'module', 'node:*'],
        conditions: platform === 'browser' ? ['browser', 'import'] : ['node', 'import'],
        legalComments: 'none',
        logLevel: 'silent',
        define: platform === 'browser' ? { 'process.env.NODE_ENV': '"production"' } : {},
      })
    } catch (error) {
      const first = (error as { errors?: { text: string; location?: { file: string } }[] }).errors?.[0]
      failed.set(
        name,
        `can't be bundled: ${first ? `${first.text}${first.location ? ` in ${first.location.file}` : ''}` : (error as Error).message}`,
      )
    }
  }
  await Promise.all([
    ...NODE_RUNNERS.map((n) => one(n, 'node')),
    ...PAGE_RUNNERS.map((n) => one(n, 'browser')),
    one('drive', 'browser', 'drive.ts'),
  ])
  for (const name of [...NODE_RUNNERS, ...PAGE_RUNNERS]) {
    if (!failed.has(name) && !existsSync(`${here}build/${name}.js`)) failed.set(name, 'the bundler wrote nothing')
  }
  return failed
}
