/** Executed arm64 instructions an inference, by way of QEMU and a plugin of ours. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { transformSync } from 'esbuild'
import { ENGINES_FOLDER, QEMU_ARM64, arm64Node, root } from '../codegen/kernels.ts'

export interface Count {
  instructions: number
  /** Of these, SDOT and UDOT: sixteen products each. */
  dots: number
  /** What the runtime says of itself: the variant and kernel set. */
  about: string
}

/** The emulated processors: without and with dot products of bytes. */
export const CORES = ['cortex-a72', 'cortex-a76'] as const
export type Core = (typeof CORES)[number]

export interface Runtime {
  name: string
  /** Command behind QEMU's own options, for these models. */
  command(models: readonly string[]): string[]
  env?: Record<string, string>
  /** Where the dynamic linker finds the libraries. */
  libraries: string
}

const RUNS = 3
const FOLDER = join(root, 'node_modules/.cache/thimble-arm-count')
const SOURCES = join(root, 'tools/arm-count')

/** The plugin, compiled; undefined where there is no C compiler. */
export function plugin(): string | undefined {
  mkdirSync(FOLDER, { recursive: true })
  const out = join(FOLDER, 'insn.so')
  const made = spawnSync('gcc', ['-shared', '-fPIC', '-O2', '-Wall', '-Werror', join(SOURCES, 'insn.c'), '-o', out])
  return made.status === 0 ? out : undefined
}

/**
 * Thimble in the newest arm64 Node that is installed. TurboFan from the first call, since what is counted is what a
 * program that has run for a while executes.
 */
export function thimble(): Runtime | undefined {
  const node = arm64Node('any')?.at(-1)
  if (!node) return undefined
  const script = join(FOLDER, 'thimble.mjs')
  mkdirSync(FOLDER, { recursive: true })
  const source = readFileSync(join(SOURCES, 'thimble.ts'), 'utf8')
  writeFileSync(script, transformSync(source, { loader: 'ts', format: 'esm', target: 'es2022' }).code)
  const version = /node-arm64-(\d+)/.exec(node)?.[1] ?? ''
  return {
    libraries: '/usr/aarch64-linux-gnu',
    name: `Thimble, Node ${version}`.trimEnd(),
    command: (models) => [
      node,
      '--no-liftoff',
      '--no-wasm-dynamic-tiering',
      script,
      join(root, 'dist/node.js'),
      String(RUNS),
      ...models,
    ],
  }
}

/** The TFLite runtimes of `.ci/engines.sh litert-arm64`, with the arm64 Python that runs them. */
export function peers(): Runtime[] {
  const home = join(ENGINES_FOLDER, 'litert-arm64')
  const python = join(home, 'root/usr/bin/python3.11')
  if (!existsSync(python)) return []
  return readdirSync(home)
    .flatMap((folder) => {
      const [, name, version] = /^(ai_edge_litert|tflite_runtime)-(.+)$/.exec(folder) ?? []
      return name ? [{ folder, name, version: version! }] : []
    })
    .map(({ folder, name, version }) => ({
      libraries: join(home, 'root'),
      name: `${name.replaceAll('_', '-')} ${version}`,
      command: (models) => [python, join(SOURCES, 'litert.py'), `${name}.interpreter`, String(RUNS), ...models],
      env: {
        PYTHONHOME: join(home, 'root/usr'),
        PYTHONPATH: [join(home, folder), join(home, 'numpy')].join(':'),
      },
    }))
}

/**
 * Instructions of one inference of each model on `core`, the least of a few.
 * Errors: an Error with the last lines that the runtime said, when it ended before all were counted.
 */
export function countAll(
  { command, env, libraries }: Runtime,
  core: Core,
  { models, insn }: { models: readonly string[]; insn: string },
): Count[] {
  const argv = ['-cpu', core, '-plugin', insn, '-L', libraries, ...command(models)]
  const run = spawnSync(QEMU_ARM64, argv, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, ...env },
    maxBuffer: 1 << 26,
    timeout: 1_200_000,
  })
  const counts: Count[] = []
  let before: { instructions: number; dots: number } | undefined
  for (const line of run.stderr.split('\n')) {
    const [kind, ...rest] = line.split(' ')
    if (kind === '@model') {
      counts.push({ instructions: Infinity, dots: 0, about: rest.join(' ') })
      before = undefined
      continue
    }
    const current = counts.at(-1)
    if (kind !== '@insn' || !current) continue
    const now = { instructions: Number(rest[0]), dots: Number(rest[1]) }
    if (!before) {
      before = now
      continue
    }
    const instructions = now.instructions - before.instructions
    if (instructions < current.instructions) {
      Object.assign(current, { instructions, dots: now.dots - before.dots })
    }
    before = undefined
  }
  if (counts.length !== models.length || counts.some(({ instructions }) => instructions === Infinity)) {
    throw new Error(`the runtime ended early: ${run.stderr.trim().split('\n').slice(-3).join(' | ')}`)
  }
  return counts
}

/** The version of QEMU. */
export const qemuVersion = (): string =>
  /version (\S+)/.exec(execFileSync(QEMU_ARM64, ['--version'], { encoding: 'utf8' }))?.[1] ?? 'of unknown version'
