/** models x engines: runs the goldens of each model on each engine, and compares bytes. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readModel } from '../../src/formats/index.ts'
import { packGraph, type PackedModel, type PackOptions } from '../../src/pack/pack.ts'
import { parseModule, walkBody } from '../../src/pack/wasm.ts'
import type { Variant } from '../../src/graph/types.ts'
import { recordedNetworks, type RecordedCase, type RecordedNetwork } from '../recorded.ts'
import { installed, macLimit, type Engine } from './engines.ts'

export interface Cell {
  model: string
  variant: Variant
}
export interface Answer {
  engine: string
  abi: number
  memoryBytes: number
  ms: number
  variant?: Variant
  kernels?: string
  why?: string
  /** The module said that its relaxed dot products would not be exact on this engine. */
  refused?: true
}

/** Whether an engine's relaxed dot products are signed, as the kernels need them. */
export const signedDot = (engine: Engine): boolean => /arm64/.test(engine.id)

/** Fully connected layers only: its relaxed modules have no relaxed instruction. */
const PLAIN = 'ad01_int8'

/** Relaxed SIMD instructions of a module: opcodes from 0xfd 0x100 on. */
export function relaxedInstructions(wasm: Uint8Array): number {
  let count = 0
  for (const { body } of parseModule(wasm).functions) {
    walkBody(
      body,
      () => {},
      (op) => {
        if (op >= 0xfd0100) count++
      },
    )
  }
  return count
}

/** The cells of one engine's column: its variants times the models that are small enough for it. */
export const cells = (engine: Engine): Cell[] =>
  recordedNetworks.flatMap(({ name, macs }) =>
    engine.variants
      .filter((v) => macs <= macLimit(engine, v) && !(v === 'relaxed' && name === PLAIN))
      .map((variant) => ({ model: name, variant })),
  )

const scratch = mkdtempSync(join(tmpdir(), 'thimble-engines-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))

const network = (name: string): RecordedNetwork => recordedNetworks.find((n) => n.name === name)!

const packed = new Map<string, Promise<PackedModel>>()
/** Path of a packed model, made on first use. */
async function modulePath(model: string, variant: Variant, pack: PackOptions = {}): Promise<string> {
  const path = join(scratch, `${[model, variant, ...Object.values(pack)].join('-')}.wasm`)
  let made = packed.get(path)
  if (!made) {
    made = packGraph(readModel(new Uint8Array(readFileSync(network(model).path)), model), {
      variant,
      name: model,
      ...pack,
      ...(variant === 'relaxed' ? { kernels: 'arm-dot' as const } : {}),
    })
    packed.set(path, made)
    const { wasm } = await made
    const relaxed = relaxedInstructions(wasm)
    if (relaxed > 0 !== (variant === 'relaxed')) {
      throw new Error(`${model} (${variant}): ${relaxed} relaxed instructions`)
    }
    writeFileSync(path, wasm)
  }
  await made
  return path
}

function run(
  command: readonly string[],
  args: string[],
  env: Readonly<Record<string, string>> | undefined,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0]!, [...command.slice(1), ...args], {
      env: { ...process.env, NODE_OPTIONS: '', ...env },
    })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    child.on('error', reject)
    child.on('close', (code) =>
      code === 0
        ? resolve(out)
        : reject(new Error(`exit code ${code}: ${err.trim().split('\n').slice(-3).join(' | ')}`)),
    )
  })
}

/** Recorded cases, at most `count`, spread over the list. */
function pick(cases: readonly RecordedCase[], count: number): RecordedCase[] {
  const some = Math.min(count, cases.length)
  return Array.from({ length: some }, (_, i) => cases[Math.floor((i * cases.length) / some)]!)
}

interface Job {
  args: string[]
  compare: () => void
  /** What a host's error comes to: the answer of a module that rightly refused to run, else the error again. */
  refusal: (message: string) => Answer
}

/** STATUS_INEXACT of assembly/layout.ts, as hosts report it. */
const INEXACT = /thimble_invoke returned 5\b/

/** What to give a host for one cell, and the comparison of what it wrote with every output of every case. */
async function job(engine: Engine, { model, variant }: Cell, options: RunOptions): Promise<Job> {
  const { macs, path, outputs, cases } = network(model)
  const chosen = pick(cases, options.cases ?? (macs > 100e6 ? 1 : 2))
  const dir = join(scratch, `${engine.id}-${model}-${variant}`)
  mkdirSync(dir, { recursive: true })
  const file = engine.runs === 'module' ? await modulePath(model, variant, engine.pack) : `${path}?${variant}`
  const args = chosen.map(({ name, inputs }) => {
    const files = inputs.map((bytes, i) => {
      const input = join(dir, `${name}.in${i}.bin`)
      writeFileSync(input, bytes)
      return input
    })
    return `${files.join(',')}=${join(dir, name)}.`
  })
  const compare = (): void => {
    for (const { name, check } of chosen) {
      for (let i = 0; i < outputs; i++) {
        const what = `${model} (${variant}) on ${engine.title}, case ${name}, output ${i}`
        check(readFileSync(join(dir, `${name}.${i}`)), i, what)
      }
    }
    rmSync(dir, { recursive: true })
  }
  const refusal = (message: string): Answer => {
    if (variant !== 'relaxed' || signedDot(engine) || !INEXACT.test(message)) throw new Error(message)
    return { engine: engine.title, abi: 1, memoryBytes: 0, ms: 0, refused: true }
  }
  return { args: [file, String(outputs), String(options.runs ?? 0), ...args], compare, refusal }
}

export interface RunOptions {
  cases?: number
  runs?: number
}

/**
 * Runs cells on one engine, in one process where its host takes several jobs. Gives one promise per cell: what the host
 * answered, once all output bytes were found equal to the recorded ones; rejected at the first difference.
 */
export function runCells(engine: Engine, list: readonly Cell[], options: RunOptions = {}): Promise<Answer>[] {
  const command = installed(engine)
  if (!command) return list.map(() => Promise.reject(new Error(`${engine.id} is not installed`)))
  const jobs = list.map((cell) => job(engine, cell, options))
  const finish = ({ compare, refusal }: Job, line: string | undefined): Answer => {
    const answer = JSON.parse(line ?? '{"error":"the host ended early"}') as Answer & { error?: string }
    if (answer.error !== undefined) return refusal(answer.error)
    compare()
    return answer
  }
  if (engine.batch) {
    const lines = Promise.all(jobs)
      .then((all) =>
        run(
          command,
          all.flatMap(({ args }, i) => (i ? ['--', ...args] : args)),
          engine.env,
        ),
      )
      .then((text) => text.trim().split('\n'))
    return jobs.map(async (j, i) => finish(await j, (await lines)[i]))
  }
  let last: Promise<unknown> = Promise.resolve()
  return jobs.map((j) => {
    const mine = last.then(async () => {
      const made = await j
      const line = await run(command, made.args, engine.env).catch((error: Error) =>
        JSON.stringify({ error: error.message }),
      )
      return finish(made, line.trim().split('\n').at(-1))
    })
    last = mine.catch(() => {})
    return mine
  })
}
