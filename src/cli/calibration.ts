/** Calibration inputs that are no photos: arrays of .npy and .npz files and of raw ones, for every input of a graph. */
import { existsSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { isNpy, type NumberArray, RAW_TYPES, readNpy, readNpz, readRaw } from '../convert/npy.ts'
import { isZip } from '../convert/zip.ts'
import { ThimbleError } from '../base/errors.ts'
import { elements, type Graph, type Tensor } from '../graph/graph.ts'
import { choice } from './args.ts'
import type { Args, OptionSpec } from './command.ts'
import { imagesIn, isFolder, readFile } from './files.ts'

/** Real values of every input of the graph. */
export interface ArraySample {
  name: string
  data: readonly Float32Array[]
}

export const ARRAY_OPTIONS: Record<string, OptionSpec> = {
  input: {
    type: 'string',
    multiple: true,
    value: 'NAME=FILE',
    help: 'arrays for one input of several: .npy, raw, a folder of such, or data.npz:KEY; repeatable',
  },
  'raw-type': {
    type: 'string',
    value: 'TYPE',
    help: `elements of raw files: ${Object.keys(RAW_TYPES).join(', ')}, little-endian (default: float32)`,
    check: rawTypeOf,
  },
}

/** Errors: `usage/option`. */
function rawTypeOf(args: Args): string {
  return choice(args, 'raw-type', Object.keys(RAW_TYPES)) ?? 'float32'
}

const ARRAY_NAME = /\.(npy|npz)$/i
const RAW_NAME = /\.(bin|raw|dat|f32|pcm)$/i
const isArrayName = (name: string): boolean => ARRAY_NAME.test(name) || RAW_NAME.test(name)

/** Array files of a folder, sorted; those of its subfolders are not looked for. */
const arraysIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => isArrayName(name) && !name.startsWith('.'))
    .sort()
    .map((name) => join(folder, name))

/**
 * Whether a path holds arrays, and not photos. Errors: `usage/calibration` for a folder that holds both.
 */
export function holdsArrays(path: string): boolean {
  if (!isFolder(path)) {
    if (isArrayName(path)) return true
    if (!existsSync(path)) return false
    const bytes = readFile(path)
    return isNpy(bytes) || isZip(bytes)
  }
  const [arrays, images] = [arraysIn(path), imagesIn(path)]
  if (arrays.length && images.length) {
    throw new ThimbleError('usage/calibration', `${path} holds photos and arrays`, {
      expected: 'one kind',
      got: `${basename(images[0]!)}, ${basename(arrays[0]!)}`,
      hint: 'put them in folders of their own',
    })
  }
  return arrays.length > 0
}

/** Arrays of one file by key; `''` where the file has no names. */
function arraysOf(path: string, rawType: string): Map<string, NumberArray> {
  const bytes = readFile(path)
  if (isNpy(bytes) || /\.npy$/i.test(path)) return new Map([['', readNpy(bytes, path)]])
  if (isZip(bytes) || /\.npz$/i.test(path)) return readNpz(bytes, path)
  return new Map([['', readRaw(bytes, rawType, path)]])
}

const squeezed = (shape: readonly number[]): string => shape.filter((d) => d !== 1).join('x')
const shown = (shape: readonly number[]): string => `[${shape.join(', ')}]`

/** How many inputs of shape `want` an array holds: itself, or one for each index of its first dimension. */
function countIn({ shape, data }: NumberArray, want: readonly number[]): number | undefined {
  const size = elements(want)
  if (squeezed(shape) === squeezed(want)) return 1
  if (shape.length > 0 && squeezed(shape.slice(1)) === squeezed(want)) return shape[0]!
  // A raw file, or flattened rows.
  if (shape.length === 1 && data.length > 0 && data.length % size === 0) return data.length / size
  return shape.length === 2 && shape[1] === size ? shape[0]! : undefined
}

/** The inputs in an array. Errors: `usage/calibration`. */
function inputsIn(array: NumberArray, input: Tensor, where: string): Float32Array[] {
  const count = countIn(array, input.shape)
  if (!count) {
    const turned = [...array.shape].sort().join() === [...input.shape].sort().join()
    throw new ThimbleError('usage/calibration', `${where} does not fit the model's input`, {
      tensor: input.name,
      expected: `${shown(input.shape)}, or a row of such: [N, ${input.shape.slice(1).join(', ')}]`,
      got: `${shown(array.shape)} of ${array.dtype}`,
      ...(turned ||
      squeezed(array.shape.slice(1)).split('x').sort().join() === squeezed(input.shape).split('x').sort().join()
        ? { hint: 'the same sizes in another order: transpose it (the model wants channels last)' }
        : {}),
    })
  }
  const size = elements(input.shape)
  return Array.from({ length: count }, (_, i) => array.data.slice(i * size, (i + 1) * size))
}

/** A tensor's name as people call it: without what TFLite's and TensorFlow's signatures put around it. */
const plain = (name: string): string =>
  name
    .toLowerCase()
    .replace(/^serving_default_/, '')
    .replace(/:\d+$/, '')

/** Names with which a file's arrays are told to be a graph's inputs, for errors. */
const named = (arrays: ReadonlyMap<string, NumberArray>): string =>
  [...arrays].map(([key, a]) => `${key || 'array'} ${shown(a.shape)}`).join(', ')

/** Which array of one file belongs to each input. Errors: `usage/calibration`. */
function assign(arrays: ReadonlyMap<string, NumberArray>, inputs: readonly Tensor[], path: string): NumberArray[] {
  const keys = [...arrays.keys()]
  const byName = inputs.map((t) => keys.find((k) => k === t.name) ?? keys.find((k) => plain(k) === plain(t.name)))
  if (byName.every((k) => k !== undefined)) return byName.map((k) => arrays.get(k)!)
  if (inputs.length === 1) {
    const fitting = keys.length === 1 ? keys : keys.filter((k) => countIn(arrays.get(k)!, inputs[0]!.shape))
    if (fitting.length === 1) return [arrays.get(fitting[0]!)!]
  }
  // numpy.savez names what it gets without names.
  if (keys.length === inputs.length && keys.every((_, i) => keys.includes(`arr_${i}`))) {
    return inputs.map((_, i) => arrays.get(`arr_${i}`)!)
  }
  throw new ThimbleError('usage/calibration', `${path} does not say which array is which input`, {
    expected: inputs.map((t) => `${t.name} ${shown(t.shape)}`).join(', '),
    got: named(arrays),
    hint:
      inputs.length > 1
        ? 'give each by --input NAME=FILE, or NAME=data.npz:KEY'
        : 'name one by --input NAME=data.npz:KEY',
  })
}

/** Files that a path names: itself, or those of a folder. Errors: `usage/calibration`. */
function filesOf(path: string): string[] {
  if (!isFolder(path)) return [path]
  const files = arraysIn(path)
  if (files.length === 0) {
    throw new ThimbleError('usage/calibration', `no arrays in ${path}`, {
      expected: 'files ending in .npy, .npz, .bin or .raw',
    })
  }
  return files
}

interface Found {
  name: string
  data: Float32Array
}

const rows = (data: readonly Float32Array[], file: string): Found[] =>
  data.map((d, i) => ({ name: data.length > 1 ? `${basename(file)}[${i}]` : basename(file), data: d }))

/** What `--input NAME=FILE` gives for one input. Errors: `usage/…`, those of the readers. */
function ofOneInput(value: string, input: Tensor, rawType: string): Found[] {
  const key = /^(.+\.npz):(.+)$/i.exec(value)
  const path = key && !existsSync(value) ? key[1]! : value
  return filesOf(path).flatMap((file) => {
    const arrays = arraysOf(file, rawType)
    if (path === value) return rows(inputsIn(assign(arrays, [input], file)[0]!, input, file), file)
    const array = arrays.get(key![2]!)
    if (!array) {
      throw new ThimbleError('usage/calibration', `${file} has no array called ${key![2]!}`, { got: named(arrays) })
    }
    return rows(inputsIn(array, input, `${file}: ${key![2]!}`), file)
  })
}

/** The `--input` options by index of the graph's input. Errors: `usage/option`. */
function bindings(args: Args, inputs: readonly Tensor[]): Map<number, string> {
  const given = (args.options.input as string[] | undefined) ?? []
  return new Map(
    given.map((item) => {
      // Names may have a = in them, paths too: the longest name that is one.
      const cuts = [...item].flatMap((c, i) => (c === '=' ? [i] : []))
      for (const cut of cuts.reverse()) {
        const name = item.slice(0, cut)
        const exact = inputs.findIndex((t) => t.name === name)
        const at = exact >= 0 ? exact : inputs.findIndex((t) => plain(t.name) === plain(name))
        if (at >= 0) return [at, item.slice(cut + 1)]
      }
      throw new ThimbleError('usage/option', '--input names no input of the model', {
        expected: inputs.map((t) => `${t.name}=FILE`).join(', '),
        got: item,
      })
    }),
  )
}

/** Columns of samples, one for each input, as samples. Errors: `usage/calibration`. */
function together(columns: readonly Found[][], inputs: readonly Tensor[]): ArraySample[] {
  const count = Math.max(...columns.map((c) => c.length))
  // One value for all samples is given once.
  if (columns.some((c) => c.length !== count && c.length !== 1)) {
    throw new ThimbleError('usage/calibration', 'the inputs have different numbers of samples', {
      expected: 'as many for each input, or one for all',
      got: columns.map((c, i) => `${inputs[i]!.name}: ${c.length}`).join(', '),
    })
  }
  return Array.from({ length: count }, (_, i) => ({
    name: columns.find((c) => c.length === count)![i]!.name,
    data: columns.map((c) => c[c.length === 1 ? 0 : i]!.data),
  }))
}

/**
 * Every sample of the arrays that a call names: those at `path`, and those of `--input`.
 * Errors: `usage/file`, `usage/option`, `usage/calibration`, `format/npy`, `format/zip`.
 */
export function arraySamples(
  args: Args,
  graph: Graph,
  path: string | undefined,
  use: 'all' | 'path' = 'all',
): ArraySample[] {
  const inputs = graph.inputs.map((t) => graph.tensors[t]!)
  const rawType = rawTypeOf(args)
  const bound = use === 'all' ? bindings(args, inputs) : new Map<number, string>()
  const rest = inputs.filter((_, i) => !bound.has(i))
  if (rest.length && path === undefined) {
    throw new ThimbleError('usage/calibration', 'not every input of the model has calibration data', {
      expected: rest.map((t) => `--input ${t.name}=FILE`).join(' '),
    })
  }
  const columns = inputs.map((t, i): Found[] => (bound.has(i) ? ofOneInput(bound.get(i)!, t, rawType) : []))
  if (rest.length) {
    for (const file of filesOf(path!)) {
      const arrays = assign(arraysOf(file, rawType), rest, file)
      const parts = arrays.map((array, k) => rows(inputsIn(array, rest[k]!, file), file))
      const most = Math.max(...parts.map((p) => p.length))
      parts.forEach((part, k) => {
        const column = columns[inputs.indexOf(rest[k]!)]!
        // One value for all samples of this file.
        column.push(...(part.length === 1 ? Array.from({ length: most }, () => part[0]!) : part))
      })
    }
  }
  return together(columns, inputs)
}
