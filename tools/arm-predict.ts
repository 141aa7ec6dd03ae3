/**
 * Predicts time on ARM boards without one: V8's own arm64 machine code of the kernels, cycles from LLVM's processor
 * models, trip counts from a model's plan. A prediction, never a measurement: first-level cache hits, perfect branch
 * prediction, no memory traffic, ops without multiply-adds at one cycle a byte.
 *
 * Usage: tsx tools/arm-predict.ts [MODEL.tflite ...] [--major 24]
 * Needs: arm64 Node and QEMU (.ci/engines.sh installs them), LLVM's llvm-mc and llvm-mca.
 */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import {
  LAYOUT,
  OP_CONV,
  OP_CONV_DIRECT,
  OP_DEPTHWISE,
  OP_DEPTHWISE3X3,
  OP_DEPTHWISE3X3_DOT,
  OP_DEPTHWISE3X3_PRODUCTS,
  OP_DEPTHWISE5X5,
  OP_FULLY_CONNECTED,
} from '../src/generated/layout.ts'
import { readModel } from '../src/formats/index.ts'
import { GEMM_FORMS } from '../src/lower/gemm.ts'
import { compileModel, type Entry, type Program } from '../src/plan/compile.ts'
import type { Kernels } from '../src/graph/types.ts'
import { cycles, mcaVersion, type Core } from './codegen/arm-mca.ts'
import { arm64Node, kernelCode, KERNEL_NAMES } from './codegen/kernels.ts'
import { flatten, loopsOf, macs, type CompiledFunction, type Instruction, type Loop } from './codegen/v8-code.ts'

interface Board {
  name: string
  core: Core
  cpu: string
  ghz: number
  kernels: Kernels
  build: 'simd' | 'relaxed'
}

const BOARDS: readonly Board[] = [
  {
    name: 'Raspberry Pi 4 (Cortex-A72)',
    core: 'cortex-a72',
    cpu: 'cortex-a72',
    ghz: 1.5,
    kernels: 'arm',
    build: 'simd',
  },
  // LLVM has no Cortex-A76 model of its own; Neoverse N1 is that core's sibling.
  {
    name: 'Raspberry Pi 5 (Cortex-A76)',
    core: 'neoverse-n1',
    cpu: 'cortex-a76',
    ghz: 2.4,
    kernels: 'arm-dot',
    build: 'relaxed',
  },
]

const sumMacs = (list: readonly Instruction[]): number => list.reduce((a, i) => a + macs(i), 0)

/** A loop with multiply-adds and the loop around it. */
interface Nest {
  inner: Loop
  outer?: Loop | undefined
  function: CompiledFunction
}

/** The loops of a kernel that multiply, each with the loop around it. */
function nests(functions: readonly CompiledFunction[]): Nest[] {
  return functions.flatMap((f) => {
    const all = flatten(loopsOf(f))
    return all
      .filter((l) => sumMacs(l.body) > 0 && !l.inner.some((i) => sumMacs(i.body) > 0))
      .map((inner) => ({ inner, outer: all.find((o) => o.inner.includes(inner)), function: f }))
  })
}

/** A loop's instructions; `corrected`: with those for a weight zero point. */
const bodyOf = (l: Loop, corrected: boolean): Instruction[] =>
  corrected ? l.body : l.body.filter((i) => !l.optional.includes(i))

/** Cycles of one pass of the outer loop: fixed part, and per turn of the inner loop. */
function nestCost({ inner, outer }: Nest, core: Core, corrected = false): { fixed: number; turn: number } {
  const body = bodyOf(inner, corrected)
  if (!outer) return { fixed: 0, turn: cycles(body, core) }
  const before = outer.body.filter((i) => i.offset < inner.start)
  const after = outer.body.filter((i) => i.offset > inner.start)
  const pass = (turns: number): number =>
    cycles([...before, ...Array.from({ length: turns }, () => body).flat(), ...after], core)
  const few = pass(4)
  const many = pass(16)
  return { fixed: few - (many - few) / 3, turn: (many - few) / 12 }
}

/** Cycles of a function's instructions outside its loops. */
function callCost(f: CompiledFunction, core: Core): number {
  const inLoops = new Set(
    flatten(loopsOf(f))
      .flatMap((l) => l.body)
      .map((i) => i.offset),
  )
  // Behind the last return lie stack checks and traps.
  const end = f.instructions.findIndex((i) => i.op === 'ret')
  return cycles(
    f.instructions.slice(0, end + 1).filter((i) => !inLoops.has(i.offset)),
    core,
  )
}

const RECORDS: Record<number, keyof typeof LAYOUT> = {
  [OP_CONV]: 'ConvRecord',
  [OP_CONV_DIRECT]: 'ConvDirectRecord',
  [OP_DEPTHWISE3X3]: 'DepthwiseRecord',
  [OP_DEPTHWISE3X3_PRODUCTS]: 'DepthwiseRecord',
  [OP_DEPTHWISE3X3_DOT]: 'DepthwiseRecord',
  [OP_DEPTHWISE5X5]: 'DepthwiseRecord',
  [OP_DEPTHWISE]: 'DepthwiseRecord',
  [OP_FULLY_CONNECTED]: 'FullyConnectedRecord',
}

/** Fields of a table entry's record, for opcodes with multiply-adds. */
function record(program: Program, index: number): Record<string, number> {
  const plan = program.image[0]!
  const view = new DataView(plan.bytes.buffer, plan.bytes.byteOffset)
  const at = view.getUint32(program.header.opTable! + index * 4 - plan.address, true) - plan.address
  return Object.fromEntries(
    LAYOUT[RECORDS[program.entries[index]!.opcode]!].fields.map((name, i) => [name, view.getInt32(at + i * 4, true)]),
  )
}

class Predictor {
  readonly board: Board
  readonly code: Map<string, CompiledFunction[]>
  constructor(board: Board, code: Map<string, CompiledFunction[]>) {
    this.board = board
    this.code = code
  }

  /** The nest of a kernel with the most multiply-adds an instruction, or the n-th. */
  nest(name: string, which?: number): Nest {
    const list = nests(this.code.get(name)!)
    return which !== undefined
      ? list[which]!
      : list.sort(
          (a, b) => sumMacs(b.inner.body) / b.inner.body.length - sumMacs(a.inner.body) / a.inner.body.length,
        )[0]!
  }

  gemm(r: Record<string, number>): number {
    const form = GEMM_FORMS.find((f) => f.id === r.form)!
    const name = `gemm_${form.id}`
    const nest = this.nest(name)
    const cost = nestCost(nest, this.board.core)
    const kPerTurn = sumMacs(nest.inner.body) / (form.mr * form.nr)
    const k = r.kh! * r.segments! * r.segmentBytes!
    const turns = (r.rowBytes || k) / kPerTurn
    const panels = Math.ceil(r.outC! / form.nr)
    const tiles = Math.ceil((r.rows! * r.outW!) / form.mr)
    const call = callCost(nest.function, this.board.core)
    // Packing panels, or gathering rows of patches: a vector load and a store for 16 bytes, a few cycles each.
    const direct = r.rowBytes && r.kh === 1 && r.segments === 1
    return tiles * (panels * (cost.fixed + cost.turn * turns) + call + (direct ? 0 : (form.mr * k) / 4))
  }

  depthwise(r: Record<string, number>): number {
    const nest = this.nest(`kernel_${r.op}`, r.strideW! - 1)
    const cost = nestCost(nest, this.board.core, r.op !== OP_DEPTHWISE3X3 && r.weightZeroPoint !== 0)
    // Two outputs a turn; those of stride 1 take one more turn to begin.
    return (
      r.rows! *
      Math.ceil(r.channels! / 8) *
      (cost.fixed + cost.turn * (Math.ceil(r.outW! / 2) + (r.op !== OP_DEPTHWISE3X3 && r.strideW === 1 ? 1 : 0)))
    )
  }

  /** Kernels that are not modelled loop by loop: their multiply-adds at the rate of their hot loop. */
  plain(name: string, count: number): number {
    const nest = this.nest(name)
    return count / (sumMacs(nest.inner.body) / cycles(nest.inner.body, this.board.core))
  }

  entry(program: Program, e: Entry, index: number): number {
    if (!(e.opcode in RECORDS) || !e.macs) return 0
    const r = record(program, index)
    if (e.opcode === OP_CONV) return this.gemm(r)
    if (e.opcode === OP_DEPTHWISE3X3 || e.opcode === OP_DEPTHWISE3X3_PRODUCTS || e.opcode === OP_DEPTHWISE3X3_DOT) {
      return this.depthwise(r)
    }
    return this.plain(`kernel_${e.opcode}`, e.macs)
  }
}

const fixed = (n: number, digits = 1): string => n.toFixed(digits)

function table(p: Predictor): void {
  const { board } = p
  console.log(`\n${board.name}: ${board.build} build, cycles by llvm-mca -mcpu=${board.core}`)
  for (const [name, functions] of p.code) {
    for (const n of nests(functions)) {
      // Depthwise kernels do two outputs of eight channels a turn, whatever their instructions multiply.
      const body = bodyOf(n.inner, false)
      const useful = /3x3/.test(KERNEL_NAMES[name]!) ? 2 * 8 * 9 : sumMacs(body)
      const c = cycles(body, board.core)
      const cost = nestCost(n, board.core)
      console.log(
        `  ${KERNEL_NAMES[name]!.padEnd(22)} ${fixed(useful / c, 2).padStart(6)} MAC/cycle  ${body.length} instructions, ${fixed(c)} cycles a turn${n.outer ? `, ${fixed(cost.fixed)} outside` : ''}`,
      )
    }
  }
}

function model(p: Predictor, file: string): void {
  const { board } = p
  const program = compileModel(readModel(readFileSync(file), file), {
    variant: board.build,
    kernels: board.kernels,
    plan: 'speed',
  })
  const groups = new Map<string, { cycles: number; macs: number }>()
  program.entries.forEach((e, i) => {
    const c = p.entry(program, e, i)
    const name = e.macs ? e.kernel : 'other ops'
    const g = groups.get(name) ?? { cycles: 0, macs: 0 }
    groups.set(name, { cycles: g.cycles + c, macs: g.macs + e.macs })
  })
  // Ops without multiply-adds: a cycle a byte of the largest live buffers they write, from the arena's list.
  const others = new Set(program.entries.filter((e) => !e.macs && e.kernel !== 'group').map((e) => e.opIndex))
  const bytes = program.arena.filter((b) => others.has(b.firstOp)).reduce((a, b) => a + b.bytes, 0)
  if (bytes) groups.set('other ops', { cycles: bytes, macs: 0 })
  const total = [...groups.values()].reduce((a, g) => a + g.cycles, 0)
  const ms = (ghz: number): string => fixed(total / ghz / 1e6)
  console.log(
    `\n${basename(file)} on ${board.name}: prediction ${ms(board.ghz)} ms at ${board.ghz} GHz${board.ghz === 1.5 ? `, ${ms(1.8)} ms at 1.8 GHz` : ''} (${fixed(total / 1e6)} M cycles)`,
  )
  for (const [name, g] of [...groups].sort((a, b) => b[1].cycles - a[1].cycles)) {
    console.log(
      `  ${name.padEnd(24)} ${fixed(g.cycles / 1e6, 2).padStart(8)} M cycles${g.macs ? `  ${fixed(g.macs / 1e6).padStart(7)} M MAC  ${fixed(g.macs / g.cycles, 2)} MAC/cycle` : ''}`,
    )
  }
}

function main(): void {
  const args = process.argv.slice(2)
  const at = args.indexOf('--major')
  const major = at < 0 ? undefined : Number(args.splice(at, 2)[1])
  if (!mcaVersion()) throw new Error('llvm-mc and llvm-mca are not installed: apt-get install llvm')
  console.log(`Predictions from V8's machine code and ${mcaVersion()}; no ARM hardware was timed.`)
  for (const board of BOARDS) {
    const node = arm64Node(board.cpu, major)
    const code = node && kernelCode(node, board.build)
    if (!code) {
      throw new Error('no arm64 Node that prints machine code: run .ci/engines.sh, or name one in THIMBLE_NODE_ARM64')
    }
    const p = new Predictor(board, code)
    table(p)
    for (const file of args) model(p, file)
  }
}

main()
