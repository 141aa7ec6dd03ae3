/** The engines that packed modules and the package are run on: one row each. .ci/engines.sh installs them. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { PackOptions } from '../../src/pack/pack.ts'
import type { Variant } from '../../src/graph/types.ts'
import { ENGINES_FOLDER } from '../../tools/codegen/kernels.ts'
import { root } from '../util.ts'

/** Where .ci/engines.sh installs to. */
export const ENGINES = ENGINES_FOLDER

export interface Engine {
  id: string
  /** As in the README's table. */
  title: string
  /** What it is given: a packed module, or the package and the model file. */
  runs: 'module' | 'package'
  variants: readonly Variant[]
  /** Largest model in multiply-adds, by variant where they differ: slower combinations would only burn time. */
  maxMacs: number | Partial<Record<Variant, number>>
  /** How its modules are packed, where not as usual. */
  pack?: Pick<PackOptions, 'weights' | 'pageSize'>
  /** The host takes several jobs in one process. */
  batch?: boolean
  /** The host's command line without its arguments, and its environment. */
  command: readonly string[]
  env?: Readonly<Record<string, string>>
}

const host = (name: string): string => fileURLToPath(new URL(`hosts/${name}`, import.meta.url))
const peer = (path: string): string => join(ENGINES, path)
const QEMU = ['/usr/bin/qemu-aarch64', '-L', '/usr/aarch64-linux-gnu']
const DIST = join(root, 'dist/node.js')
/** Absolute program paths and files that a host needs; `-x` and `=` arguments are options. */
const files = (command: readonly string[]): string[] => command.filter((part) => part.startsWith('/'))

const ALL = Infinity
/** Up to MobileNetV2 at 224. */
const V2 = 310e6
/** Up to MobileNetV1 0.25 at 128. */
const SMALL = 15e6
const nodeX64 = (major: number, relaxed: boolean): Engine[] => {
  const node = peer(`npm/node_modules/node${major}/bin/node`)
  return [
    {
      id: `node${major}`,
      title: `Node ${major}, x64`,
      runs: 'module',
      batch: true,
      variants: relaxed ? ['simd', 'scalar', 'relaxed'] : ['simd', 'scalar'],
      maxMacs: { simd: ALL, relaxed: V2, scalar: SMALL },
      command: [node, host('node.mjs')],
    },
    {
      id: `node${major}-package`,
      title: `Node ${major}, x64`,
      runs: 'package',
      batch: true,
      variants: ['simd', 'scalar'],
      maxMacs: { simd: V2, scalar: SMALL },
      command: [node, host('package.mjs')],
      env: { THIMBLE_PACKAGE: DIST },
    },
  ]
}
const nodeArm64 = (version: string, largest: number): Engine[] => {
  const command = [...QEMU, peer(`node-arm64-${version}/bin/node`)]
  const title = `Node ${version.split('.')[0]}, arm64 (QEMU)`
  return [
    {
      id: `node${version.split('.')[0]}-arm64`,
      title,
      runs: 'module',
      batch: true,
      variants: ['simd', 'scalar', 'relaxed'],
      maxMacs: { simd: SMALL, relaxed: SMALL, scalar: 10e6 },
      command: [...command, host('node.mjs')],
    },
    {
      id: `node${version.split('.')[0]}-arm64-package`,
      title,
      runs: 'package',
      batch: true,
      variants: ['simd', 'scalar'],
      maxMacs: { simd: largest, scalar: 10e6 },
      command: [...command, host('package.mjs')],
      env: { THIMBLE_PACKAGE: DIST },
    },
  ]
}
/** The package with one set of kernels forced, on the processor that they are for. */
const arm64Kernels = (cpu: string, variant: Variant, kernels: string): Engine => ({
  id: `node24-arm64-${kernels}-package`,
  title: `Node 24, arm64 ${cpu} (QEMU), ${kernels} kernels`,
  runs: 'package',
  batch: true,
  variants: [variant],
  maxMacs: SMALL,
  command: [...QEMU, '-cpu', cpu, peer('node-arm64-24.22.0/bin/node'), host('package.mjs')],
  env: { THIMBLE_PACKAGE: DIST, THIMBLE_KERNELS: kernels },
})
const S390X = ['/usr/bin/qemu-s390x', '-L', '/usr/s390x-linux-gnu', peer('node-s390x-20.11.0/bin/node')]
/** A big-endian processor: the bytes of packed modules and of the package are the same there. */
const nodeS390x: readonly Engine[] = [
  {
    id: 'node20-s390x',
    title: 'Node 20, s390x (QEMU)',
    runs: 'module',
    batch: true,
    variants: ['simd', 'scalar'],
    maxMacs: { simd: SMALL, scalar: 10e6 },
    command: [...S390X, host('node.mjs')],
  },
  {
    id: 'node20-s390x-package',
    title: 'Node 20, s390x (QEMU)',
    runs: 'package',
    batch: true,
    variants: ['simd', 'scalar'],
    maxMacs: { simd: SMALL, scalar: 10e6 },
    command: [...S390X, host('package.mjs')],
    env: { THIMBLE_PACKAGE: DIST },
  },
]
const PYTHON = { PYTHONPATH: peer('python') }
const JS = { THIMBLE_ENGINES: ENGINES }

/** Programs of examples/hosts, which examples/hosts/table.ts builds. */
const EXAMPLES = [
  { id: 'wasmi', title: 'wasmi (interpreter)', program: 'rust/release/host' },
  { id: 'wamr-fast', title: 'WAMR (fast interpreter)', program: 'wamr-host' },
  { id: 'wamr-classic', title: 'WAMR (classic interpreter)', program: 'wamr-classic-host' },
].flatMap((program) =>
  (['memory', 'flash'] as const).map((weights) => ({ ...program, id: `${program.id}-${weights}`, weights })),
)

/** Every engine, installed or not. */
export const engines: readonly Engine[] = [
  ...[20, 22, 24, 26].flatMap((major) => nodeX64(major, major > 20)),
  ...nodeArm64('22.23.3', SMALL),
  ...nodeArm64('24.22.0', V2),
  ...nodeArm64('26.12.0', SMALL),
  arm64Kernels('cortex-a72', 'simd', 'arm'),
  arm64Kernels('cortex-a76', 'relaxed', 'arm-dot'),
  ...nodeS390x,
  {
    id: 'workerd',
    title: 'workerd (Cloudflare Workers)',
    runs: 'module',
    batch: true,
    variants: ['simd', 'scalar'],
    maxMacs: { simd: V2, scalar: SMALL },
    command: [process.execPath, host('workerd.mjs'), peer('npm/node_modules/miniflare')],
    env: JS,
  },
  {
    id: 'chromium',
    title: 'Chromium',
    runs: 'module',
    batch: true,
    variants: ['simd', 'scalar', 'relaxed'],
    maxMacs: { simd: ALL, relaxed: V2, scalar: SMALL },
    command: [
      process.execPath,
      host('chromium.mjs'),
      peer('npm/node_modules/playwright-core'),
      process.env.CHROMIUM ?? '/usr/bin/chromium',
    ],
    env: JS,
  },
  {
    id: 'wasmtime',
    title: 'Wasmtime, x64',
    runs: 'module',
    variants: ['simd', 'scalar', 'relaxed'],
    maxMacs: { simd: ALL, relaxed: V2, scalar: SMALL },
    command: ['/usr/bin/env', 'python3', host('wasmtime_host.py'), peer('python/wasmtime')],
    env: PYTHON,
  },
  ...['Winch', 'Pulley'].map((compiler): Engine => ({
    id: `wasmtime-${compiler.toLowerCase()}`,
    title: `Wasmtime, ${compiler === 'Winch' ? 'Winch (baseline compiler)' : 'Pulley (interpreter)'}`,
    runs: 'module',
    variants: ['simd', 'scalar'],
    maxMacs: 10e6,
    command: ['/usr/bin/env', 'python3', host('wasmtime_host.py'), peer('python/wasmtime')],
    env: { ...PYTHON, THIMBLE_WASMTIME: compiler },
  })),
  // The custom-page-sizes proposal: what is read or written behind the declared end traps.
  ...(['memory', 'flash'] as const).map((weights): Engine => ({
    id: `wasmtime-bytes-${weights}`,
    title: `Wasmtime, x64, memory to the byte, weights in ${weights}`,
    runs: 'module',
    pack: { weights, pageSize: 1 },
    variants: ['simd', 'scalar'],
    maxMacs: SMALL,
    command: ['/usr/bin/env', 'python3', host('wasmtime_host.py'), peer('python/wasmtime')],
    env: PYTHON,
  })),
  {
    id: 'wasmtime-arm64',
    title: 'Wasmtime, arm64 (QEMU)',
    runs: 'module',
    variants: ['simd', 'scalar', 'relaxed'],
    maxMacs: { simd: V2, relaxed: SMALL, scalar: 10e6 },
    command: [...QEMU, '-E', `LD_LIBRARY_PATH=${peer('wasmtime-arm64')}`, peer('wasmtime-arm64/wasmtime-host')],
  },
  {
    id: 'wazero',
    title: 'wazero, compiler',
    runs: 'module',
    variants: ['simd', 'scalar'],
    maxMacs: { simd: V2, scalar: SMALL },
    command: [peer('bin/wazero-host'), 'compiler'],
  },
  {
    id: 'wazero-interpreter',
    title: 'wazero, interpreter',
    runs: 'module',
    variants: ['simd', 'scalar'],
    maxMacs: { simd: 20e6, scalar: 8e6 },
    command: [peer('bin/wazero-host'), 'interpreter'],
  },
  {
    id: 'wasm3',
    title: 'wasm3 (interpreter)',
    runs: 'module',
    variants: ['scalar'],
    maxMacs: SMALL,
    command: ['/usr/bin/env', 'python3', host('wasm3_host.py'), peer('python/pywasm3-0.5.0.dist-info')],
    env: PYTHON,
  },
  ...EXAMPLES.map(({ id, title, program, weights }): Engine => ({
    id,
    title: `${title}, weights in ${weights}`,
    runs: 'module',
    pack: { weights },
    variants: ['scalar'],
    maxMacs: SMALL,
    command: [process.execPath, host('example.mjs'), peer(`examples/${program}`)],
  })),
]

/** Paths that are only there to be checked for; hosts don't take them. */
const MARKERS = /miniflare$|playwright-core$|chromium$|python\/wasmtime$|dist-info$/

/** The command to run, or undefined where something that it needs is not installed. */
export function installed(engine: Engine): readonly string[] | undefined {
  const needed = [...files(engine.command), ...(engine.runs === 'package' ? [DIST] : [])]
  return needed.every((path) => existsSync(path))
    ? engine.command.filter((part, i) => i === 0 || !MARKERS.test(part))
    : undefined
}

export const macLimit = (engine: Engine, variant: Variant): number =>
  typeof engine.maxMacs === 'number' ? engine.maxMacs : (engine.maxMacs[variant] ?? Infinity)
