/**
 * What `thimble pack` says of what it made: bytes by part, the board that holds it, and what another form would save.
 */
import type { Graph } from '../graph/graph.ts'
import { packGraph, type PackedModel, type PackOptions, type PackSizes } from '../pack/pack.ts'
import { type Needs, needsOf, smallestBoard } from './boards.ts'

const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`

/** Nothing but parts that are there. */
const parts = (list: readonly (readonly [name: string, bytes: number])[]): string =>
  list
    .filter(([name, bytes]) => bytes > 0 || name === 'arena')
    .map(([name, bytes]) => `${name} ${bytes}`)
    .join(' + ')

function fileLine(file: string, { sizes: s, meta }: PackedModel): string {
  const sum = parts([
    ['code', s.codeBytes],
    ['weights and plan', s.dataBytes],
    ['metadata', s.metaBytes],
    ['component', s.shellBytes],
  ])
  return `${file}: ${meta.variant}, ${s.fileBytes} bytes = ${sum}\n`
}

function memoryLine({ sizes: s, meta }: PackedModel): string {
  const sum = parts([
    ['static', s.staticBytes],
    ['plan', s.planBytes],
    ['weights', s.weightBytes],
    ['state', s.stateBytes],
    ['arena', s.arenaBytes],
    ['margin', s.marginBytes],
    ['interface', s.shellMemoryBytes],
  ])
  const pages = meta.pageSize
    ? 'declared to the byte'
    : `${s.memoryPages} page${s.memoryPages === 1 ? '' : 's'} of 64 KiB`
  return `memory: ${s.memoryBytes} bytes (${kib(s.memoryBytes)}, ${pages}) = ${sum}\n`
}

function flashLine({ meta: { flash } }: PackedModel): string {
  if (!flash) return ''
  const { slices, largestSlice, readBytes } = flash
  return `weights in flash: ${slices} slices of at most ${largestSlice} bytes, ${readBytes} bytes copied an inference\n`
}

const needs = (s: PackSizes): Needs => needsOf({ code: s.codeBytes, data: s.dataBytes, memory: s.memoryBytes })

/** Only what has a chance on a microcontroller is worth a line. */
const LARGEST = 8 * 1024 * 1024

/** A scalar core module on a microcontroller, as C from wasm2c. */
function boardLine({ sizes }: PackedModel): string {
  const { flash, ram } = needs(sizes)
  const board = smallestBoard({ flash, ram })
  const where = board
    ? `the smallest board that holds it: ${board.name}, ${kib(board.flash)} of flash, ${kib(board.ram)} of RAM`
    : 'no common board holds it'
  return `as C (wasm2c): about ${kib(flash)} of flash and ${kib(ram)} of RAM; ${where}\n`
}

/** The other form of a module that might suit better, and what it takes; empty where it saves less than a tenth. */
async function otherLine(graph: Graph, options: PackOptions, { sizes }: PackedModel): Promise<string> {
  if (sizes.fileBytes > LARGEST) return ''
  if (options.variant === 'scalar') {
    if (options.weights === 'flash') return ''
    const other = (await packGraph(graph, { ...options, weights: 'flash' })).sizes
    if (other.memoryBytes > 0.9 * sizes.memoryBytes) return ''
    const board = smallestBoard(needs(other))
    return `with --weights flash: memory ${other.memoryBytes} bytes (${kib(other.memoryBytes)})${board ? `; ${board.name}` : ''}\n`
  }
  if (options.plan !== undefined) return ''
  const other = (await packGraph(graph, { ...options, plan: 'size' })).sizes
  if (other.fileBytes > 0.9 * sizes.fileBytes) return ''
  return `with --plan size: file ${other.fileBytes} bytes, memory ${other.memoryBytes} bytes (${kib(other.memoryBytes)})\n`
}

/** The report, a line a thing. `options` are those that the model was packed with. */
export async function packReport(
  file: string,
  made: PackedModel,
  { graph, options }: { graph: Graph; options: PackOptions },
): Promise<string> {
  const core = options.target === undefined || options.target === 'core'
  const board = core && options.variant === 'scalar' ? boardLine(made) : ''
  const other = core ? await otherLine(graph, options, made) : ''
  return fileLine(file, made) + memoryLine(made) + flashLine(made) + board + other
}
