/** The compiled program of a `.thimble` file, and what goes with it; nothing of the graph is read. */
import { ThimbleError } from '../base/errors.ts'
import type { Metadata, Tensor } from '../graph/graph.ts'
import { checkMetadata } from './check-metadata.ts'
import { headFits, stepsFit } from './check-program.ts'
import { isObject, type Frame } from './packed-frame.ts'
import { integers, list, slice, unpackTensor } from './packed-tensor.ts'
import { fromLeb128, PACKERS, type ProgramHead, type StoredProgram } from './programs.ts'

/** What loading a file needs when it holds a program for the engine. */
export interface Ready {
  program: StoredProgram
  inputs: Tensor[]
  outputs: Tensor[]
  metadata: Metadata
}

/** Whether a file, checked or not, says that it holds a program for `target`. */
export const holdsProgram = ({ header }: Frame, target: string): boolean =>
  Array.isArray(header.programs) && header.programs.some((p) => isObject(p) && p.for === target)

/**
 * The program for `target` and what goes with it; undefined when there is none, or none that may be loaded. The frame's
 * file `isSealed`. What `tablesFit` says is to be asked when the program's steps have run.
 */
export function readProgram({ header, data }: Frame, target: string): Ready | undefined {
  const found = Array.isArray(header.programs)
    ? header.programs.find((p): p is Record<string, unknown> => isObject(p) && p.for === target)
    : undefined
  if (!found) return undefined
  const { steps, bytes, count, ...rest } = found
  const head = rest as unknown as ProgramHead
  try {
    const tensors = list(header.tensors, 'tensors')
    const ports = (indices: unknown, where: string): Tensor[] =>
      integers(indices, where).map((i) => unpackTensor(tensors[i], i, data))
    const inputs = ports(header.inputs, 'inputs')
    const outputs = ports(header.outputs, 'outputs')
    const metadata = checkMetadata(header.metadata)
    const isLength = (n: unknown, most: number): n is number =>
      Number.isInteger(n) && (n as number) >= 0 && (n as number) <= most
    // Every number takes a byte at least.
    if (!isLength(bytes, data.length) || !isLength(count, bytes)) return undefined
    if (!headFits(head, inputs.length, outputs.length)) return undefined
    const numbers = fromLeb128(slice(data, steps, bytes, 'steps'), count)
    if (!stepsFit(numbers, head, PACKERS, data.length)) return undefined
    const { memoryBytes, arenaAddress, arenaBytes, header: fields } = head
    return {
      program: { for: target, memoryBytes, arenaAddress, arenaBytes, header: fields, steps: numbers },
      inputs,
      outputs,
      metadata,
    }
  } catch (error) {
    // Reading the graph says what is wrong.
    if (error instanceof ThimbleError) return undefined
    throw error
  }
}
