/**
 * The example Worker in the real workerd, through miniflare: bundled as wrangler would, its CPU time and memory read
 * from outside.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ENGINES } from './engines/engines.ts'
import { root } from './util.ts'

/** A package of the engines folder or of the project; undefined where it is not installed. */
export function peer<T>(name: string): T | undefined {
  for (const from of [join(ENGINES, 'npm/'), root]) {
    try {
      return createRequire(from)(name) as T
    } catch {
      /* not there */
    }
  }
  return undefined
}

export interface Miniflare {
  ready: Promise<URL>
  dispatchFetch(url: string, init?: unknown): Promise<Response>
  dispose(): Promise<void>
  getR2Bucket(name: string): Promise<{ put(key: string, value: Uint8Array): Promise<unknown> }>
  getD1Database(name: string): Promise<{ exec(sql: string): Promise<unknown> }>
  getQueueProducer(name: string): Promise<{ send(body: unknown): Promise<unknown> }>
}
export type MiniflareClass = new (options: unknown) => Miniflare
interface Esbuild {
  build(options: unknown): Promise<{ outputFiles: { text: string; contents: Uint8Array; path: string }[] }>
}

export const miniflare = peer<{ Miniflare: MiniflareClass }>('miniflare')
export const esbuild = peer<Esbuild>('esbuild')
export const built = existsSync(join(root, 'dist/image.wasm'))

/** A folder whose node_modules holds the package under its own name. */
function packageFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-'))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules/thimble'), 'dir')
  return folder
}

/**
 * An example's script; imports of .wasm files stay, as `./model.wasm` and `./image.wasm`. `models`: a text in place of
 * its models.ts.
 */
export async function bundleWorker(example = 'cloudflare-worker', models?: string): Promise<string> {
  const folder = packageFolder()
  try {
    const { outputFiles } = await esbuild!.build({
      entryPoints: [join(root, `examples/${example}/src/index.ts`)],
      bundle: true,
      format: 'esm',
      write: false,
      target: 'es2022',
      minify: true,
      conditions: ['workerd', 'worker', 'browser'],
      mainFields: ['browser', 'module', 'main'],
      loader: { '.html': 'text' },
      nodePaths: [join(folder, 'node_modules')],
      logLevel: 'error',
      plugins: [
        {
          name: 'compiled-wasm',
          setup(build: {
            onResolve(filter: { filter: RegExp }, found: (args: { path: string }) => unknown): void
            onLoad(filter: { filter: RegExp }, found: () => unknown): void
          }) {
            if (models !== undefined) {
              build.onLoad({ filter: /\/models\.ts$/ }, () => ({ contents: models, loader: 'ts' }))
            }
            build.onResolve({ filter: /\.wasm$/ }, ({ path }) => ({
              path: `./${path.split('/').pop()}`,
              external: true,
            }))
          },
        },
      ],
    })
    return outputFiles[0]!.text
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** `thimble pack`, as the example's build script runs it. */
export function pack(model: string, labels?: string): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-'))
  try {
    const out = join(folder, 'model.wasm')
    execFileSync(
      process.execPath,
      [join(root, 'dist/cli.js'), 'pack', model, '-o', out, ...(labels ? ['--labels', labels] : [])],
      { stdio: 'pipe' },
    )
    return readFileSync(out)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export interface RunningWorker {
  fetch(
    path: string,
    init?: {
      method?: string
      body?: Uint8Array | ReadableStream | string
      headers?: Record<string, string>
      duplex?: 'half'
    },
  ): Promise<Response>
  /** Milliseconds from nothing to the first answer. */
  startMs: number
  /** CPU milliseconds of workerd so far, all threads. */
  cpuMs(): number
  /** Resident bytes of workerd. */
  memoryBytes(): number
  stop(): Promise<void>
}

/** Child processes of this one. */
const children = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return (
          Number(
            readFileSync(`/proc/${pid}/stat`, 'utf8')
              .replace(/^.*\) /, '')
              .split(' ')[1],
          ) === process.pid
        )
      } catch {
        return false
      }
    })

export async function startWorker(script: string, modules: Record<string, Uint8Array>): Promise<RunningWorker> {
  const before = new Set(children())
  const start = performance.now()
  const mf = new miniflare!.Miniflare({
    modules: [
      { type: 'ESModule', path: 'worker.mjs', contents: script },
      ...Object.entries(modules).map(([path, contents]) => ({ type: 'CompiledWasm', path, contents })),
    ],
    compatibilityDate: '2026-01-01',
    cf: false,
  })
  try {
    await mf.ready
    await (await mf.dispatchFetch('http://worker/healthz')).arrayBuffer()
  } catch (error) {
    await mf.dispose()
    throw error
  }
  const startMs = performance.now() - start
  const pid = children().find((child) => !before.has(child))
  return {
    startMs,
    fetch: (path, init) => mf.dispatchFetch(`http://worker${path}`, init),
    cpuMs: () =>
      readdirSync(`/proc/${pid}/task`).reduce(
        (sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e6,
        0,
      ),
    memoryBytes: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024,
    stop: () => mf.dispose(),
  }
}
