/**
 * What weights in flash cost in time: one model, scalar kernels, with weights in memory and in flash (one page of 64
 * KiB), in every host of this folder that has `memory.init` and on an emulated Cortex-M4F (examples/embedded). Times
 * are the best of interleaved rounds, the M4F's are instructions; all hosts must give the same bytes. `tsx
 * examples/hosts/flash.ts MODEL [ROUNDS]`.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readModel } from '../../src/formats/index.ts'
import { packGraph } from '../../src/pack/pack.ts'
import { anyInput, type Host, HOSTS, OUT, ready, run } from './table.ts'

const PLACES = ['memory', 'flash'] as const
type Place = (typeof PLACES)[number]

async function packed(model: string, weights: Place): Promise<string> {
  const path = join(OUT, `scalar-${weights}.wasm`)
  const graph = readModel(new Uint8Array(readFileSync(model)), model)
  writeFileSync(
    path,
    (
      await packGraph(graph, {
        variant: 'scalar',
        weights,
        ...(weights === 'flash' ? { ram: 65536 } : {}),
        name: 'model',
      })
    ).wasm,
  )
  return path
}

/** The host with the program that it has for one module; undefined where it is not built. */
function programFor(host: Host, wasm: string, place: Place): Host | undefined {
  if (!ready(host, wasm, true)) return undefined
  if (!host.each) return host
  const program = `${host.program}-${place}`
  copyFileSync(host.program, program)
  return { ...host, program, run: [program] }
}

/** Instructions of an inference on the Cortex-M4F, and its output; undefined without the tools. */
function onBoard(model: string, input: string, weights: Place): { time: number; output: string } | undefined {
  const build = fileURLToPath(new URL('../embedded/build.sh', import.meta.url))
  const out = join(OUT, `m4f-${weights}`)
  const r = spawnSync(build, [model, out, input], {
    env: { ...process.env, WEIGHTS: weights },
    encoding: 'utf8',
    timeout: 180_000,
  })
  const [, ticks] = /^ticks (\d+)/m.exec(`${r.stdout}${r.stderr}`) ?? []
  if (r.status !== 0 || ticks === undefined) return undefined
  // 40 ns a tick, an instruction a nanosecond.
  return { time: (Number(ticks) * 40) / 1e6, output: readFileSync(join(out, 'output.bin'), 'hex') }
}

const [model, rounds = '5'] = process.argv.slice(2)
if (model === undefined) throw new Error('usage: flash.ts MODEL [ROUNDS]')
const input = anyInput(model)
const outputs = new Set<string>()
console.log('| host | weights in memory | weights in flash | ratio |\n|---|--:|--:|--:|')
const row = (name: string, unit: string, { memory, flash }: Record<Place, number>): void =>
  console.log(
    `| ${name} | ${memory.toFixed(2)} ${unit} | ${flash.toFixed(2)} ${unit} | ${(flash / memory).toFixed(2)} |`,
  )
for (const host of HOSTS) {
  if (host.noFlash) continue
  const best = { memory: Infinity, flash: Infinity }
  const programs: [Place, Host, string][] = []
  for (const place of PLACES) {
    const wasm = await packed(model, place)
    const program = programFor(host, wasm, place)
    if (program) programs.push([place, program, wasm])
  }
  if (programs.length < 2) {
    console.log(`| ${host.name} | not installed here | | |`)
    continue
  }
  // Slow hosts' times vary least.
  for (let i = 0; i < Number(rounds) && (i < 2 || best.memory < 300); i++) {
    for (const [place, program, wasm] of programs) {
      const { output, said } = run(program, wasm, input)
      outputs.add(Buffer.from(output).toString('hex'))
      best[place] = Math.min(best[place], parseFloat(said))
    }
  }
  row(host.name, 'ms', best)
}
const [memory, flash] = PLACES.map((place) => onBoard(model, input, place))
if (flash) outputs.add(flash.output)
if (memory) outputs.add(memory.output)
const board = 'C (wasm2c), Cortex-M4F'
if (memory && flash) row(board, 'M instructions', { memory: memory.time, flash: flash.time })
else {
  console.log(
    `| ${board} | does not fit or not installed | ${flash ? `${flash.time.toFixed(2)} M instructions` : ''} | |`,
  )
}
if (outputs.size > 1) throw new Error('the hosts do not agree')
