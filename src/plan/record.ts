/**
 * Programs for `.thimble` files, so that loading one neither lowers nor plans: what the loader does to an empty memory,
 * recorded. Most of it is the graph's own constants and calls of the runtime's packers on them; what is neither (op
 * records, constants in an order that no packer makes) is written along. formats/programs.ts has the form in the file.
 */
import type { Graph } from '../graph/graph.ts'
import { settle } from '../fold/index.ts'
import type { Packers } from '../kernels/packers.ts'
import { ThimbleError } from '../base/errors.ts'
import { ALL_KINDS } from '../formats/check-kinds.ts'
import { headFits, stepsFit, tablesFit } from '../formats/check-program.ts'
import {
  encodeSteps,
  PACKERS,
  targetName,
  type LoadStep,
  type ProgrammedGraph,
  type RecordedProgram,
} from '../formats/programs.ts'
import type { Kernels, Variant } from '../graph/types.ts'
import { int32s } from '../base/words.ts'
import { compileModel, type ImagePart, type Program } from './compile.ts'

/**
 * Bytes copied for one constant from which on it may be better to write it along, and how many times its own bytes they
 * must be.
 */
const LARGE = 262144
const MANY = 256

/**
 * Whether the steps from `first` on copy far more than the constant that they make: sums over a large layer's weights.
 */
const wasteful = (steps: readonly LoadStep[], first: number, part: ImagePart): boolean => {
  const copied = steps.slice(first).reduce((a, s) => ('bytes' in s ? a + s.bytes.length : a), 0)
  return copied >= LARGE && copied >= MANY * part.bytes.length
}

/** What loads `program`, on a runtime that has all packers. */
function record(program: Program, target: string): RecordedProgram {
  const { memoryBytes, arenaAddress, arenaBytes, header } = program
  const steps: LoadStep[] = []
  const runtime = Object.fromEntries(
    PACKERS.map((call) => [
      call,
      (...args: number[]) => {
        steps.push({ call, args })
      },
    ]),
  ) as Packers
  const memory = {
    set: (bytes: ArrayLike<number>, to = 0) => {
      steps.push({ to, bytes: bytes as Uint8Array })
    },
  }
  const loader = { runtime, memory, staging: arenaAddress, stagingBytes: arenaBytes }
  const [plan, ...constants] = program.image
  steps.push({ to: plan!.address, words: int32s(plan!.bytes) })
  for (const part of constants) {
    const before = steps.length
    if (part.load?.(loader) && !wasteful(steps, before, part)) continue
    steps.length = before
    const { bytes, address: to } = part
    const words = int32s(bytes)
    steps.push(
      bytes.length > 16 && bytes.length % 4 === 0 && words.every((w) => w === words[0])
        ? { to, word: words[0]!, times: words.length }
        : { to, bytes },
    )
  }
  return { for: target, memoryBytes, arenaAddress, arenaBytes, header, steps }
}

/**
 * Whether a reader will take a program: what is too large to be checked, or has records of an unknown kind, is not
 * stored.
 */
function storable(made: RecordedProgram, { image: [plan], inputs, outputs }: Program): boolean {
  const { address, bytes } = plan!
  return (
    headFits(made, inputs.length, outputs.length) &&
    tablesFit(made, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), address, ALL_KINDS) &&
    stepsFit(
      encodeSteps(made.steps, () => 0),
      made,
      PACKERS,
      Infinity,
    )
  )
}

/**
 * What hosts choose for themselves. All else (scalar, plan `size`, threads, `fast`) is compiled when it is asked for.
 */
const TARGETS: readonly (readonly [Variant, Kernels])[] = [
  ['simd', 'x86'],
  ['simd', 'arm'],
  ['relaxed', 'arm-dot'],
  ['relaxed', 'x86-vnni'],
]

/** The graph with a program for every kernel set; unchanged when Thimble can't run it. The same for the same graph. */
export function withPrograms(graph: Graph): ProgrammedGraph {
  try {
    const { tensors } = settle(graph)
    const programs = TARGETS.flatMap(([variant, kernels]) => {
      const program = compileModel(graph, { variant, kernels, plan: 'speed' })
      const made = record(program, targetName(variant, kernels))
      return storable(made, program) ? [made] : []
    })
    return {
      ...graph,
      // A program's ports have the computed shapes.
      tensors: graph.tensors.map((t, i) => (t.data ? t : { ...t, shape: tensors[i]!.shape })),
      ...(programs.length ? { programs } : {}),
    }
  } catch (error) {
    if (error instanceof ThimbleError) return graph
    throw error
  }
}
