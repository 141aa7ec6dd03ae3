/**
 * One model in every host of this folder: builds what there are tools for, runs all on the same input, compares the
 * bytes of the first output, and prints a table. `tsx examples/hosts/table.ts MODEL [INPUT]`; INPUT: the bytes of the
 * model's input, default: any.
 */
import { createHash } from 'node:crypto'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readModel } from '../../src/formats/index.ts'
import { tensorBytes } from '../../src/graph/graph.ts'
import { packGraph } from '../../src/pack/pack.ts'
import { ENGINES_FOLDER } from '../../tools/codegen/kernels.ts'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
/** Where programs are built; they stay. */
export const OUT = join(ENGINES_FOLDER, 'examples')
const PYTHON = { PYTHONPATH: join(ENGINES_FOLDER, 'python') }
const CLASSPATH = join(OUT, 'java', '*')

export interface Host {
  name: string
  variant: 'simd' | 'scalar'
  /** What tells that it is built. */
  program: string
  /**
   * Commands that build it, given the packed module; none: nothing is to be built. Done again for every model where
   * `each`.
   */
  build?: (wasm: string) => readonly (readonly string[])[]
  each?: true
  /** It lacks memory.init, which weights in flash need. */
  noFlash?: true
  run: readonly string[]
}

const wasm2c = join(OUT, 'wasm2c')
export const HOSTS: readonly Host[] = [
  {
    name: 'JavaScript (V8)',
    variant: 'simd',
    program: process.execPath,
    run: [process.execPath, here('javascript/host.mjs')],
  },
  {
    name: 'Python (wasmtime)',
    variant: 'simd',
    program: join(ENGINES_FOLDER, 'python/wasmtime'),
    run: ['python3', here('python/host.py')],
  },
  {
    name: 'Go (wazero)',
    variant: 'simd',
    program: join(OUT, 'go-host'),
    build: () => [['go', 'build', '-C', here('go'), '-o', join(OUT, 'go-host'), '.']],
    run: [join(OUT, 'go-host')],
  },
  {
    name: 'C (wasm2c)',
    variant: 'scalar',
    program: join(wasm2c, 'host'),
    each: true,
    build: (wasm) => [
      ['mkdir', '-p', wasm2c],
      ['wasm2c', wasm, '-n', 'model', '-o', join(wasm2c, 'model.c')],
      [
        ...['cc', '-O2', '-I', wasm2c, '-I', '/usr/share/wabt/wasm2c', here('c/wasm2c.c'), join(wasm2c, 'model.c')],
        ...['/usr/share/wabt/wasm2c/wasm-rt-impl.c', '-lm', '-o', join(wasm2c, 'host')],
      ],
    ],
    run: [join(wasm2c, 'host')],
  },
  {
    name: 'C (wasm3)',
    variant: 'scalar',
    noFlash: true,
    program: join(OUT, 'wasm3-host'),
    build: () => [[here('c/wasm3.sh'), join(OUT, 'wasm3-host')]],
    run: [join(OUT, 'wasm3-host')],
  },
  ...(['fast', 'classic'] as const).map((interpreter): Host => {
    const program = join(OUT, interpreter === 'fast' ? 'wamr-host' : `wamr-${interpreter}-host`)
    return {
      name: `C (WAMR, ${interpreter} interpreter)`,
      variant: 'scalar',
      program,
      build: () => [[here('c/wamr.sh'), program, interpreter]],
      run: [program],
    }
  }),
  {
    name: 'Rust (wasmi)',
    variant: 'scalar',
    program: join(OUT, 'rust/release/host'),
    build: () => [
      [
        'cargo',
        'build',
        '-q',
        '--release',
        '--manifest-path',
        here('rust/Cargo.toml'),
        '--target-dir',
        join(OUT, 'rust'),
      ],
    ],
    run: [join(OUT, 'rust/release/host')],
  },
  {
    name: 'Java (Chicory)',
    variant: 'scalar',
    program: join(OUT, 'java/Host.class'),
    build: () => [
      [
        'mvn',
        '-B',
        '-q',
        '-f',
        here('java/pom.xml'),
        'dependency:copy-dependencies',
        `-DoutputDirectory=${join(OUT, 'java')}`,
      ],
      ['javac', '-cp', CLASSPATH, '-d', join(OUT, 'java'), here('java/src/Host.java')],
    ],
    run: ['java', '-cp', `${join(OUT, 'java')}:${CLASSPATH}`, 'Host'],
  },
]

/** Packed modules of a model, by variant. */
export async function modules(model: string): Promise<Record<Host['variant'], string>> {
  mkdirSync(OUT, { recursive: true })
  const graph = readModel(new Uint8Array(readFileSync(model)), model)
  const paths = { simd: join(OUT, 'simd.wasm'), scalar: join(OUT, 'scalar.wasm') }
  for (const variant of ['simd', 'scalar'] as const) {
    writeFileSync(paths[variant], (await packGraph(graph, { variant, name: 'model' })).wasm)
  }
  return paths
}

/** A file with bytes for the model's input that tell kernels apart. */
export function anyInput(model: string): string {
  const graph = readModel(new Uint8Array(readFileSync(model)), model)
  const path = join(OUT, 'input.bin')
  writeFileSync(
    path,
    Uint8Array.from(
      { length: tensorBytes(graph.tensors[graph.inputs[0]!]!) },
      (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24,
    ),
  )
  return path
}

/** Builds a host where that is asked for or it belongs to one model; false where it is not there afterwards. */
export function ready(host: Host, wasm: string, build: boolean): boolean {
  if (host.build && (host.each || (build && !existsSync(host.program)))) {
    for (const [command, ...args] of host.build(wasm)) {
      const { status } = spawnSync(command!, args, { stdio: ['ignore', 'ignore', 'inherit'], timeout: 600_000 })
      if (status !== 0) return false
    }
  }
  return existsSync(host.program)
}

/** The output's bytes, and what the host says. Throws where it fails. */
export function run(host: Host, wasm: string, input: string): { output: Uint8Array; said: string } {
  const target = join(OUT, 'output.bin')
  const [command, ...args] = host.run
  const said = execFileSync(command!, [...args, wasm, input, target], {
    env: { ...process.env, ...PYTHON },
    timeout: 120_000,
    encoding: 'utf8',
  })
  return { output: new Uint8Array(readFileSync(target)), said: said.trim() }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [model, input] = process.argv.slice(2)
  if (model === undefined) throw new Error('usage: table.ts MODEL [INPUT]')
  const paths = await modules(model)
  const tensor = input ?? anyInput(model)
  const digests = new Set<string>()
  console.log('| host | variant | best time | linear memory | sha256 of the output |\n|---|---|--:|--:|---|')
  for (const host of HOSTS) {
    const wasm = paths[host.variant]
    if (!ready(host, wasm, true)) {
      console.log(`| ${host.name} | ${host.variant} | not installed here | | |`)
      continue
    }
    const { output, said } = run(host, wasm, tensor)
    const digest = createHash('sha256').update(output).digest('hex').slice(0, 16)
    digests.add(digest)
    const [time, memory = ''] = said.split(', ')
    console.log(`| ${host.name} | ${host.variant} | ${time} | ${memory.replace(' bytes', '')} | ${digest} |`)
  }
  if (digests.size > 1) throw new Error('the hosts do not agree')
}
