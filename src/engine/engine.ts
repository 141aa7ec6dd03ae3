/** One model in one wasm instance: owns the memory, runs the program. */
import { disposeKey } from '../base/dispose.ts'
import { ThimbleError } from '../base/errors.ts'
import { ABI_VERSION, LAYOUT, STATUS_BAD_INDEX, STATUS_INEXACT, STATUS_TIMEOUT } from '../generated/layout.ts'
import { dtypeBytes, elements, type DType, type Metadata, type Tensor } from '../graph/graph.ts'
import { PAGE, PROGRAM_BASE } from '../base/memory.ts'
import type { Loader } from '../kernels/packers.ts'
import type { Program } from '../plan/compile.ts'
import type { RuntimeExports } from './runtime.ts'
import { awaitHint } from '../options/source.ts'
import { stages } from '../base/stages.ts'
import type { ThreadPool } from '../threads/pool.ts'
import type { Kernels, Model, TensorInfo, TypedArray, Variant } from '../graph/types.ts'
import { LITTLE_ENDIAN, reverseWords } from '../base/words.ts'

type ArrayType =
  | Int8ArrayConstructor
  | Uint8ArrayConstructor
  | Int16ArrayConstructor
  | Int32ArrayConstructor
  | Float32ArrayConstructor
  | BigInt64ArrayConstructor

/** Typed array class of a dtype that may cross the API. */
export function arrayType(dtype: DType): ArrayType {
  switch (dtype) {
    case 'int8':
      return Int8Array
    case 'uint8':
    case 'bool':
      return Uint8Array
    case 'int16':
      return Int16Array
    case 'int32':
      return Int32Array
    case 'float32':
      return Float32Array
    case 'int64':
      return BigInt64Array
    default:
      throw new ThimbleError('lower/dtype', `${dtype} tensors cannot cross the API`)
  }
}

export function tensorInfo(t: Tensor): TensorInfo {
  return {
    name: t.name,
    shape: t.shape,
    dtype: t.dtype,
    scale: t.quantization?.scales[0] ?? 0,
    zeroPoint: t.quantization?.zeroPoints[0] ?? 0,
  }
}

interface Port {
  info: TensorInfo
  address: number
  bytes: number
  count: number
  type: ArrayType
  view: TypedArray
}

export interface EngineDescription {
  inputs: TensorInfo[]
  outputs: TensorInfo[]
  variant: Variant
  kernels: Kernels
  why: string
  metadata: Metadata
  /** Where there is no Program to tell it. */
  arenaBytes?: number
}

/** Shared memory for a program that runs on several threads; the runtime imports it. */
export function sharedMemory(program: Program): WebAssembly.Memory {
  const pages = program.memoryBytes / PAGE
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  } catch (cause) {
    throw new ThimbleError('runtime/memory', 'the engine gives no shared memory', {
      cause,
      expected: `${program.memoryBytes} bytes`,
      hint: 'use one thread',
    })
  }
}

/** What fills an instance's memory. All that it does not write is zero. */
export interface MemoryImage {
  memoryBytes: number
  /** What serves as staging memory meanwhile: the arena, or as much of it as is written then. */
  arenaAddress: number
  arenaBytes: number
  /** Fields of the runtime's header. */
  header: Readonly<Record<string, number>>
  write(loader: Loader & { memory: Uint8Array }): void
}

/** Staging memory is cleared afterwards: what is not needed of a large arena is never touched. */
const MOST_STAGING = 64 << 20
/** Packers may write so far behind the memory that they are given. */
const BEHIND = 128

const imageOf = (program: Program): MemoryImage => ({
  memoryBytes: program.memoryBytes,
  arenaAddress: program.arenaAddress,
  arenaBytes: Math.min(program.arenaBytes, MOST_STAGING),
  header: program.header,
  write(loader) {
    for (const part of program.image) if (!part.load?.(loader)) loader.memory.set(part.bytes, part.address)
  },
})

/** An instance of the runtime. `memory`: the shared one of a threaded program. */
export function createInstance(module: WebAssembly.Module, memory?: WebAssembly.Memory): RuntimeExports {
  const instance = new WebAssembly.Instance(module, memory ? { env: { memory } } : {})
  const exports = { memory, ...instance.exports } as unknown as RuntimeExports
  if (exports.thimble_abi() !== ABI_VERSION) {
    throw new ThimbleError('runtime/abi', 'runtime and host do not match', {
      expected: ABI_VERSION,
      got: exports.thimble_abi(),
      hint: 'rebuild: npm run build',
    })
  }
  const header = exports.header.value as number
  if (header + LAYOUT.Header.size > PROGRAM_BASE) {
    throw new ThimbleError('runtime/abi', "the runtime's static data reaches into the program", {
      expected: `at most ${PROGRAM_BASE}`,
      got: header + LAYOUT.Header.size,
    })
  }
  return exports
}

/** Makes room for an image and writes it. */
export function fillInstance(exports: RuntimeExports, image: MemoryImage): void {
  const { memoryBytes, arenaAddress: staging, arenaBytes: stagingBytes } = image
  const missing = memoryBytes - exports.memory.buffer.byteLength
  if (missing > 0) {
    try {
      exports.memory.grow(Math.ceil(missing / PAGE))
    } catch (cause) {
      throw new ThimbleError('runtime/memory', 'the engine gives no more memory', {
        cause,
        expected: `${memoryBytes} bytes`,
        hint: 'use a smaller model, or plan "size"',
      })
    }
  }
  const memory = new Uint8Array(exports.memory.buffer)
  image.write({ runtime: exports, memory, staging, stagingBytes })
  memory.fill(0, staging, staging + stagingBytes + BEHIND)
  const view = new DataView(exports.memory.buffer)
  const header = exports.header.value as number
  LAYOUT.Header.fields.forEach((name, i) => view.setUint32(header + i * 4, image.header[name]!, true))
}

/** Instantiates the runtime and loads the program's memory image. `memory`: the shared one of a threaded program. */
export function instantiateProgram(
  module: WebAssembly.Module,
  program: Program,
  memory?: WebAssembly.Memory,
): RuntimeExports {
  const exports = createInstance(module, memory)
  stages.begin?.('pack weights')
  fillInstance(exports, imageOf(program))
  return exports
}

/** What runs instead of a stored program that fails: the graph, compiled. */
export interface Spare {
  exports: RuntimeExports
  program: Program
}

export class Engine implements Model {
  declare [Symbol.dispose]: () => void
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  readonly variant: Variant
  readonly kernels: Kernels
  readonly why: string
  readonly metadata: Metadata
  memoryBytes = 0
  arenaBytes: number
  #program: Program | (() => Promise<Program>) | undefined
  #exports: RuntimeExports | undefined
  #in: Port[] = []
  #out: Port[] = []
  #pool: ThreadPool | undefined
  #list: TypedArray[] = []
  #spare: (() => Spare | undefined) | undefined

  /** `program`: what the instance runs, or how to compile it again. */
  constructor(
    exports: RuntimeExports,
    about: EngineDescription,
    program?: Program | (() => Promise<Program>),
    { pool, spare }: { pool?: ThreadPool; spare?: () => Spare | undefined } = {},
  ) {
    this[disposeKey()] = () => this.dispose()
    this.#pool = pool
    this.#spare = spare
    this.inputs = about.inputs
    this.outputs = about.outputs
    this.variant = about.variant
    this.kernels = about.kernels
    this.why = about.why
    this.metadata = about.metadata
    this.#program = program
    this.arenaBytes = about.arenaBytes ?? (typeof program === 'object' ? program.arenaBytes : 0)
    this.#connect(exports)
  }

  /** Makes an instance the one that runs. Errors: `runtime/abi`. */
  #connect(exports: RuntimeExports): void {
    this.#exports = exports
    this.memoryBytes = exports.memory.buffer.byteLength
    const port = (info: TensorInfo, address: number, bytes: number): Port => {
      const type = arrayType(info.dtype)
      const count = elements(info.shape)
      checkPort(info, address, bytes, exports.memory.buffer.byteLength)
      return { info, address, bytes, count, type, view: new type(exports.memory.buffer, address >>> 0, count) }
    }
    this.#in = this.inputs.map((info, i) => port(info, exports.thimble_input_ptr(i), exports.thimble_input_bytes(i)))
    this.#out = this.outputs.map((info, i) =>
      port(info, exports.thimble_output_ptr(i), exports.thimble_output_bytes(i)),
    )
  }

  /** The program with its entries, for profiles; none in a packed module. */
  async program(): Promise<Program | undefined> {
    if (typeof this.#program === 'function') this.#program = await this.#program()
    return this.#program
  }

  /** Copies the inputs in, after checking them. */
  #write(input: TypedArray | readonly TypedArray[]): RuntimeExports {
    const exports = this.#exports
    if (!exports) throw disposedError()
    this.#pool?.check()
    const single = ArrayBuffer.isView(input)
    if (!single) checkList(input, this.#in, 'input')
    else if (this.#in.length !== 1) throw wrongNumber('input', this.#in, 1)
    for (let i = 0; i < this.#in.length; i++) {
      const port = this.#in[i]!
      const data = single ? input : input[i]!
      check(data, port, 'input')
      port.view.set(data as never)
      if (!LITTLE_ENDIAN) reverseWords(port.view)
    }
    return exports
  }

  run(input: TypedArray | readonly TypedArray[], options?: { out?: TypedArray | readonly TypedArray[] }): TypedArray[] {
    const exports = this.#write(input)
    const out = options?.out
    const single = out !== undefined && ArrayBuffer.isView(out)
    if (out !== undefined) {
      if (!single) checkList(out, this.#out, 'output')
      else if (this.#out.length !== 1) throw wrongNumber('output', this.#out, 1)
      for (let i = 0; i < this.#out.length; i++) {
        check(single ? out : out[i]!, this.#out[i]!, 'output')
      }
    }
    if (this.#spare) this.#invokeFirst(exports, input)
    else this.#invoke(exports)
    if (out === undefined) return this.#out.map((port) => port.view.slice() as TypedArray).map(fromMemory)
    if (single) {
      out.set(this.#out[0]!.view as never)
      fromMemory(out)
      // The list around a caller's array is kept, so that a run allocates nothing.
      if (this.#list[0] !== out) this.#list = [out]
      return this.#list
    }
    for (let i = 0; i < this.#out.length; i++) {
      out[i]!.set(this.#out[i]!.view as never)
      fromMemory(out[i]!)
    }
    return out as TypedArray[]
  }

  /** A function of its own: one that holds a closure allocates whenever it is called. */
  #invokeFirst(exports: RuntimeExports, input: TypedArray | readonly TypedArray[]): void {
    this.#attempt(() => this.#invoke(this.#exports === exports ? exports : this.#write(input)))
    this.#spare = undefined
  }

  /** Runs a stored program for the first time; where that fails, the spare takes its place, and it is done again. */
  #attempt(body: () => void): void {
    try {
      body()
    } catch (error) {
      const spare = this.#spare?.()
      this.#spare = undefined
      if (!spare) throw error
      this.#program = spare.program
      this.arenaBytes = spare.program.arenaBytes
      this.#connect(spare.exports)
      body()
    }
  }

  /** One inference. Errors: `runtime/…`. */
  #invoke(exports: RuntimeExports): void {
    let status: number
    try {
      this.#pool?.wake()
      status = exports.thimble_invoke() || (this.#pool?.finish() ?? 0)
    } catch (cause) {
      this.#pool?.poison('a run that failed')
      if (cause instanceof ThimbleError) throw cause
      throw trapError(cause)
    }
    if (status !== 0) throw statusError(status, this.#pool)
  }

  /**
   * Milliseconds per graph op, mean over `runs`, with every table entry timed on its own; a band group is timed as one
   * and shared among its members by multiply-adds.
   */
  async profile(
    input: TypedArray | readonly TypedArray[],
    runs: number,
  ): Promise<{ index: number; kernel: string; ms: number; macs: number }[]> {
    const program = await this.program()
    if (!program) {
      throw new ThimbleError('runtime/profile', 'a packed module has no profile', {
        hint: 'profile the model file instead',
      })
    }
    if (this.#pool) {
      throw new ThimbleError('runtime/profile', 'per-op times need one thread', { hint: 'profile without threads' })
    }
    // A stored program that fails is replaced now.
    if (this.#spare) this.run(input)
    const { entries } = (await this.program())!
    const spent = new Float64Array(entries.length)
    for (let r = 0; r < runs; r++) {
      const exports = this.#write(input)
      for (let i = 0; i < entries.length;) {
        const group = entries[i + 1]?.group
        const banded = entries[i]!.kernel === 'group' && group !== undefined
        let count = 0
        if (banded) while (entries[i + 1 + count]?.group === group) count++
        const start = performance.now()
        const status = exports.run(i, i + 1 + count)
        if (status) throw statusError(status)
        const ms = performance.now() - start
        if (banded) {
          const members = entries.slice(i + 1, i + 1 + count)
          const total = members.reduce((a, e) => a + e.macs, 0)
          members.forEach((e, k) => {
            spent[i + 1 + k]! += ms * (total ? e.macs / total : 1 / count)
          })
        } else spent[i]! += ms
        i += 1 + count
      }
    }
    const byOp = new Map<number, { index: number; kernel: string; ms: number; macs: number }>()
    entries.forEach((e, i) => {
      const row = byOp.get(e.opIndex) ?? { index: e.opIndex, kernel: '', ms: 0, macs: 0 }
      if (e.macs > 0 || !row.kernel || row.kernel === 'fill') row.kernel = e.kernel === 'group' ? row.kernel : e.kernel
      row.ms += spent[i]! / runs
      row.macs += e.macs
      byOp.set(e.opIndex, row)
    })
    return [...byOp.values()].sort((a, b) => a.index - b.index)
  }

  reset(): void {
    this.#attempt(() => {
      if (!this.#exports) throw disposedError()
      let status: number
      try {
        status = this.#exports.thimble_reset?.() ?? 0
      } catch (cause) {
        throw trapError(cause)
      }
      if (status !== 0) throw statusError(status)
    })
  }

  dispose(): void {
    this.#pool?.stop()
    this.#spare = undefined
    this.#pool = undefined
    this.#exports = undefined
    this.#in = []
    this.#out = []
    this.#list = []
  }
}

/** Values just copied out of memory, whose words are little-endian, in the machine's own byte order. */
function fromMemory(data: TypedArray): TypedArray {
  if (!LITTLE_ENDIAN) reverseWords(data)
  return data
}

const disposedError = (): ThimbleError =>
  new ThimbleError('runtime/disposed', 'the model was disposed', { hint: 'load it again' })

const trapError = (cause: unknown): ThimbleError =>
  new ThimbleError('runtime/trap', `the model's program failed (${(cause as Error).message})`, {
    hint: 'its file was written by something else than Thimble: convert or pack the model again',
    cause,
  })

/** What a status other than 0 means; a pool that a thread left is of no use any more. */
function statusError(status: number, pool?: ThreadPool): ThimbleError {
  if (status === STATUS_BAD_INDEX) {
    return new ThimbleError(
      'runtime/index',
      'an index that the model computed is outside of the tensor that it picks from (GATHER_ND)',
    )
  }
  if (status === STATUS_INEXACT) {
    return new ThimbleError('runtime/kernels', "the module's kernels would not be exact here", {
      expected: 'an engine whose relaxed dot product is signed',
      got: 'another relaxed dot product',
      hint: 'pack the model with other --kernels',
    })
  }
  if (status === STATUS_TIMEOUT && pool) return pool.poison('a worker thread that no longer answers')
  return new ThimbleError('runtime/status', 'the executor refused the program', { expected: 0, got: status })
}

/** Errors: `runtime/abi` for a port that is not where its tensor has room. */
function checkPort(info: TensorInfo, address: number, bytes: number, memoryBytes: number): void {
  const expected = elements(info.shape) * dtypeBytes(info.dtype)
  const start = address >>> 0
  if (bytes === expected && start + expected <= memoryBytes && start % dtypeBytes(info.dtype) === 0) return
  throw new ThimbleError('runtime/abi', 'the place of a tensor does not fit its description', {
    tensor: info.name,
    expected: `${expected} bytes within ${memoryBytes}`,
    got: `${bytes} bytes at ${start}`,
    hint: 'its file was written by something else than Thimble: convert or pack the model again',
  })
}

const wrongNumber = (role: 'input' | 'output', ports: readonly Port[], given: number): ThimbleError =>
  new ThimbleError(`runtime/${role}s`, role === 'input' ? 'number of inputs' : 'number of output arrays', {
    expected: ports.length,
    got: given,
  })

function checkList(list: readonly TypedArray[], ports: readonly Port[], role: 'input' | 'output'): void {
  if (!Array.isArray(list)) {
    throw new ThimbleError(`runtime/${role}`, `no ${role} array is given`, {
      tensor: ports[0]?.info.name,
      expected: ports.map((p) => `${p.type.name} of ${p.count}`).join(', '),
      got: (list as object | undefined)?.constructor?.name ?? typeof list,
      hint: awaitHint(list),
    })
  }
  if (list.length !== ports.length) throw wrongNumber(role, ports, list.length)
}

function check(data: TypedArray, port: Port, role: string): void {
  if (
    !(data instanceof port.type) &&
    !(port.info.dtype === 'uint8' && (data as unknown) instanceof Uint8ClampedArray)
  ) {
    throw new ThimbleError(`runtime/${role}`, `${role} array type`, {
      tensor: port.info.name,
      expected: port.type.name,
      got: (data as object | undefined)?.constructor?.name ?? typeof data,
      hint: awaitHint(data),
    })
  }
  if (data.length !== port.count) {
    throw new ThimbleError(`runtime/${role}`, `${role} length`, {
      tensor: port.info.name,
      expected: `${port.count} elements for [${port.info.shape}]`,
      got: data.length,
    })
  }
}
