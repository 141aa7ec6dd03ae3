/**
 * The core module between a packed model and the interface `thimble:vision/model`: what the canonical ABI wants of
 * `inputs`, `outputs`, `run` and `reset`. It imports the model's memory, into which its own static data goes: the
 * tensors' descriptions, and an answer for every end that a run can come to.
 *
 * Nothing is copied: room for an input of the right size is the input tensor itself, and a run's result points at the
 * output tensors.
 */
import { STATUS_BAD_INDEX, STATUS_INEXACT } from '../../generated/layout.ts'
import { elements } from '../../graph/graph.ts'
import { Blob } from '../blob.ts'
import { Writer } from '../bytes.ts'
import type { SizedTensor } from '../meta.ts'
import { dataType, ERRORS } from './model.ts'

/** More inputs than that do not fit into the parameters of a core function. */
export const MOST_INPUTS = 8

export interface GlueOptions {
  inputs: readonly Port[]
  outputs: readonly Port[]
  state: boolean
  /** Where its static data may begin. */
  base: number
}
/** A tensor and where it lies. */
export interface Port extends SizedTensor {
  address: number
}

export interface Glue {
  wasm: Uint8Array
  /** Bytes of static data from `base` on. */
  staticBytes: number
}

const PAGE_SHIFT = 16
const I32 = 0x7f
const VOID = 0x40

/** Instructions of a function body, as far as they are needed here. */
class Code extends Writer {
  get = (local: number): this => this.u8(0x20).u32(local)
  set = (local: number): this => this.u8(0x21).u32(local)
  getGlobal = (index: number): this => this.u8(0x23).u32(index)
  setGlobal = (index: number): this => this.u8(0x24).u32(index)
  constant = (value: number): this => this.u8(0x41).s33(value | 0)
  call = (index: number): this => this.u8(0x10).u32(index)
  op = (...codes: number[]): this => this.u8(...codes)
  load = (offset: number): this => this.u8(0x28, 2).u32(offset)
  store = (offset: number): this => this.u8(0x36, 2).u32(offset)
  when = (fill: (c: this) => void): this => {
    this.u8(0x04, VOID)
    fill(this)
    return this.u8(0x0b)
  }
  loop = (fill: (c: this) => void): this => {
    this.u8(0x03, VOID)
    fill(this)
    return this.u8(0x0b)
  }
  /** As a function body with that many more locals. */
  body(locals = 0): Uint8Array {
    const w = new Writer()
    if (locals) w.u8(1).u32(locals).u8(I32)
    else w.u8(0)
    return w.bytes(this.finish()).u8(0x0b).finish()
  }
}
const ADD = 0x6a
const SUB = 0x6b
const DIV_U = 0x6e
const REM_U = 0x70
const SHL = 0x74
const SHR_U = 0x76
const EQZ = 0x45
const EQ = 0x46
const NE = 0x47
const GT_U = 0x4b
const AND = 0x71
const OR = 0x72
const STORE8 = [0x3a, 0, 0] as const
const RETURN = 0x0f
const UNREACHABLE = 0x00
const DROP = 0x1a
const MEMORY_GROW = [0x40, 0] as const
const BR_IF_0 = [0x0d, 0] as const

// Globals: room for inputs of wrong sizes, and the number of the input that room is asked for next.
const ROOM = 0
const ROOM_BYTES = 1
const TURN = 2

// Layout of an error's area: result, variant, the sentence's address and bytes; then its bytes without the number.
const TEXT = 8
const TEXT_BYTES = 12
const PREFIX_BYTES = 16

/** Room for the elements of an input: `cabi_realloc` of `run`. */
function realloc(inputs: readonly Port[]): Uint8Array {
  const [SIZE, GROWN] = [3, 4]
  const c = new Code()
  const several = inputs.length > 1
  inputs.forEach(({ bytes, address }, i) => {
    c.get(SIZE).constant(bytes).op(EQ)
    if (several) c.getGlobal(TURN).constant(i).op(EQ, AND)
    c.when(() => {
      if (several) c.constant(i + 1).setGlobal(TURN)
      c.constant(address).op(RETURN)
    })
  })
  if (several) c.getGlobal(TURN).constant(1).op(ADD).setGlobal(TURN)
  c.get(SIZE).getGlobal(ROOM_BYTES).op(GT_U)
  c.when(() => {
    const pages = (): Code => c.get(SIZE).constant(PAGE_SHIFT).op(SHR_U).constant(1).op(ADD)
    pages()
      .op(...MEMORY_GROW)
      .set(GROWN)
    // Nothing can be answered where there is no room for the question.
    c.get(GROWN)
      .constant(-1)
      .op(EQ)
      .when(() => c.op(UNREACHABLE))
    c.get(GROWN).constant(PAGE_SHIFT).op(SHL).setGlobal(ROOM)
    pages().constant(PAGE_SHIFT).op(SHL).setGlobal(ROOM_BYTES)
  })
  return c.getGlobal(ROOM).body(1)
}

/** (area, number) -> area: the area's sentence ends with the number. */
function complain(): Uint8Array {
  const [AREA, NUMBER, DIGITS, AT] = [0, 1, 2, 3]
  const c = new Code()
  c.get(NUMBER).set(AT)
  c.loop(() => {
    c.get(DIGITS).constant(1).op(ADD).set(DIGITS)
    c.get(AT).constant(10).op(DIV_U).set(AT)
    c.get(AT).op(...BR_IF_0)
  })
  c.get(AREA).get(AREA).load(PREFIX_BYTES).get(DIGITS).op(ADD).store(TEXT_BYTES)
  c.get(AREA).load(TEXT).get(AREA).load(TEXT_BYTES).op(ADD).set(AT)
  c.loop(() => {
    c.get(AT).constant(1).op(SUB).set(AT)
    c.get(AT)
      .get(NUMBER)
      .constant(10)
      .op(REM_U)
      .constant(0x30)
      .op(OR, ...STORE8)
    c.get(NUMBER).constant(10).op(DIV_U).set(NUMBER)
    c.get(NUMBER).op(...BR_IF_0)
  })
  return c.get(AREA).body(2)
}

/** What the model's statuses mean to people; the first is for all others. */
const STATUSES: readonly (readonly [status: number, text: string])[] = [
  [0, 'the module refused its program: it was not made by one version of thimble pack'],
  [STATUS_BAD_INDEX, 'an index that the model computed is outside of the tensor that it picks from'],
  [STATUS_INEXACT, "this engine's relaxed dot product is not signed: pack the model with --variant simd"],
]

function describe(blob: Blob, tensors: readonly Port[]): number {
  const words = tensors.flatMap((t) => {
    const name = blob.text(t.name)
    const shape = [blob.words(...t.shape), t.shape.length]
    const scale = new Uint32Array(Float32Array.of(t.scale).buffer)[0]!
    return [...name, ...shape, dataType(t.dtype), scale, t.zeroPoint]
  })
  return blob.words(blob.words(...words), tensors.length)
}

interface Areas {
  inputs: number
  outputs: number
  done: number
  wrongSize: readonly number[]
  failed: readonly (readonly [status: number, area: number])[]
}

function areas(blob: Blob, { inputs, outputs }: GlueOptions): Areas {
  return {
    inputs: describe(blob, inputs),
    outputs: describe(blob, outputs),
    done: blob.words(0, ...outputs.flatMap((t) => [t.address, elements(t.shape)])),
    wrongSize: inputs.map((t, i) => {
      const which = inputs.length > 1 ? `input ${i} (${t.name})` : `the input (${t.name})`
      const text = `${which} is ${t.dtype} [${t.shape.join(', ')}]; expected ${elements(t.shape)} elements, got `
      const [at, bytes] = blob.text(text)
      blob.add(new Uint8Array(10))
      return blob.words(1, ERRORS.wrongSize, at, bytes, bytes)
    }),
    failed: STATUSES.map(([status, text]) => [status, blob.words(1, ERRORS.failed, ...blob.text(text))]),
  }
}

/** Writes the module. At most MOST_INPUTS inputs. */
export function glueModule(options: GlueOptions): Glue {
  const { inputs, state, base } = options
  const blob = new Blob(base)
  const at = areas(blob, options)
  const bytes = blob.bytes()

  // Function indices: imports first.
  const [INVOKE, RESET] = [0, 1]
  const own = state ? 2 : 1
  const COMPLAIN = own + 1
  const run = new Code()
  const STATUS = 2 * inputs.length
  if (inputs.length > 1) run.constant(0).setGlobal(TURN)
  inputs.forEach((t, i) => {
    const count = 2 * i + 1
    run.get(count).constant(elements(t.shape)).op(NE)
    run.when(() => run.constant(at.wrongSize[i]!).get(count).call(COMPLAIN).op(RETURN))
  })
  run.call(INVOKE).set(STATUS)
  run
    .get(STATUS)
    .op(EQZ)
    .when(() => run.constant(at.done).op(RETURN))
  const [[, otherwise], ...known] = at.failed as [readonly [number, number], ...(readonly [number, number])[]]
  for (const [status, area] of known) {
    run
      .get(STATUS)
      .constant(status)
      .op(EQ)
      .when(() => run.constant(area).op(RETURN))
  }
  const functions: { name?: string; params: number; results: number; body: Uint8Array }[] = [
    { name: 'realloc', params: 4, results: 1, body: realloc(inputs) },
    { params: 2, results: 1, body: complain() },
    { name: 'run', params: 2 * inputs.length, results: 1, body: run.constant(otherwise).body(1) },
    { name: 'inputs', params: 0, results: 1, body: new Code().constant(at.inputs).body() },
    { name: 'outputs', params: 0, results: 1, body: new Code().constant(at.outputs).body() },
    ...(state ? [{ name: 'reset', params: 0, results: 0, body: new Code().call(RESET).op(DROP).body() }] : []),
  ]
  const imports = state ? ['thimble_invoke', 'thimble_reset'] : ['thimble_invoke']
  const w = new Writer().u8(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)
  // Type 0 is that of the imports.
  w.u8(1).block((s) => {
    s.u32(functions.length + 1).u8(0x60, 0, 1, I32)
    for (const f of functions) {
      s.u8(0x60)
      for (const n of [f.params, f.results]) {
        s.list(
          Array.from({ length: n }, () => I32),
          (t) => s.u8(t),
        )
      }
    }
  })
  w.u8(2).block((s) => {
    s.u32(imports.length + 1)
    for (const name of imports) s.name('model').name(name).u8(0, 0)
    s.name('model').name('memory').u8(2, 0, 0)
  })
  w.u8(3).block((s) => s.list([...functions.keys()], (i) => s.u32(i + 1)))
  w.u8(6).block((s) => s.list([ROOM, ROOM_BYTES, TURN], () => s.u8(I32, 1, 0x41, 0, 0x0b)))
  const named = functions.flatMap(({ name }, i) => (name === undefined ? [] : [{ name, index: own + i }]))
  w.u8(7).block((s) => s.list(named, ({ name, index }) => s.name(name).u8(0).u32(index)))
  w.u8(10).block((s) => s.list(functions, ({ body }) => s.u32(body.length).bytes(body)))
  w.u8(11).block((s) => s.u8(1, 0, 0x41).s33(base).u8(0x0b).u32(bytes.length).bytes(bytes))
  return { wasm: w.finish(), staticBytes: bytes.length }
}
