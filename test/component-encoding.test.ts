/**
 * Components to the byte, as the component model's Binary.md has them; interfaces as text, as WIT.md has it; and the
 * module between a packed model and its interface, for every end that a run can come to.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { STATUS_BAD_INDEX, STATUS_INEXACT } from '../src/generated/layout.ts'
import { ComponentWriter, CORE_SORT, SORT } from '../src/pack/component/encode.ts'
import { glueModule, type Port } from '../src/pack/component/glue.ts'
import { dataType, modelInterface } from '../src/pack/component/model.ts'
import {
  type Definition,
  type FunctionType,
  type Interface,
  list,
  named,
  option,
  type Primitive,
  result,
  type WitType,
  witText,
} from '../src/pack/component/wit.ts'
import { refusal } from './util.ts'

// Bytes -------------------------------------------------------------------------

/** Names with their lengths before them, numbers as they are: `'ab', 7` is 02 61 62 07. */
type Part = string | number | readonly Part[]
const flat = (parts: readonly Part[]): number[] =>
  parts.flatMap((p) =>
    typeof p === 'number' ? [p] : typeof p === 'string' ? [Buffer.byteLength(p), ...Buffer.from(p)] : flat(p as Part[]),
  )
/** A section of items: its number, its bytes, how many items. All below 128. */
const section = (id: number, ...items: (readonly Part[])[]): number[] => {
  const bytes = flat(items)
  assert.ok(bytes.length < 127)
  return [id, bytes.length + 1, items.length, ...bytes]
}
const PREAMBLE = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00]
const TYPE = 7

const written = (make: (w: ComponentWriter) => unknown): number[] => {
  const w = new ComponentWriter()
  make(w)
  return [...w.finish()]
}
const component = (...sections: number[][]): number[] => [...PREAMBLE, ...sections.flat()]
/** The items of the type section, which is all there is. */
const types = (make: (w: ComponentWriter) => unknown, ...items: (readonly Part[])[]): void => {
  assert.equal(written(make), component(section(TYPE, ...items)))
}

const PRIMITIVES: Record<Primitive, number> = {
  bool: 0x7f,
  s8: 0x7e,
  u8: 0x7d,
  s16: 0x7c,
  u16: 0x7b,
  s32: 0x7a,
  u32: 0x79,
  s64: 0x78,
  u64: 0x77,
  f32: 0x76,
  f64: 0x75,
  char: 0x74,
  string: 0x73,
}
const func = (params: FunctionType['params'], answer?: WitType): FunctionType => ({
  name: 'f',
  params,
  ...(answer === undefined ? {} : { result: answer }),
})

test('types: records, variants, enumerations, and what they are made of', () => {
  for (const [name, code] of Object.entries(PRIMITIVES)) {
    types((w) => w.definition({ name: 'r', record: [{ name: 'x', type: name as Primitive }] }), [0x72, 1, 'x', code])
  }
  types((w) => w.definition({ name: 'e', enum: ['a', 'bc', 'd'] }), [0x6d, 3, 'a', 'bc', 'd'])
  types(
    (w) => w.definition({ name: 'v', variant: [{ name: 'none' }, { name: 'some', type: 'u8' }] }),
    [0x71, 2, 'none', 0, 0, 'some', 1, 0x7d, 0],
  )
  types(
    (w) => {
      assert.is(w.definition({ name: 'e', enum: ['a'] }), 0)
      const record = {
        name: 'r',
        record: [
          { name: 'x', type: named('e') },
          { name: 'y', type: 'f32' as const },
        ],
      }
      assert.is(w.definition(record), 1)
      assert.is(w.definition({ name: 'q', record: [{ name: 'z', type: named('r') }] }), 2)
    },
    [0x6d, 1, 'a'],
    [0x72, 2, 'x', 0, 'y', 0x76],
    [0x72, 1, 'z', 1],
  )
  assert.throws(() => new ComponentWriter().definition({ name: 'r', resource: true }), /resource r/)
  assert.throws(() => new ComponentWriter().definition({ name: 'r', record: [{ name: 'x', type: named('y') }] }), /y/)
})

test('types: compound ones are defined before what holds them, equal ones once', () => {
  const both = (type: WitType, ...items: (readonly Part[])[]): void => {
    types((w) => w.functionType(func([], type)), ...items, [0x40, 0, 0, items.length - 1])
  }
  both(list('u8'), [0x70, 0x7d])
  both(option('f64'), [0x6b, 0x75])
  both({ tuple: ['u8', 'string'] }, [0x6f, 2, 0x7d, 0x73])
  both(result(), [0x6a, 0, 0])
  both(result('u8'), [0x6a, 1, 0x7d, 0])
  both(result(undefined, 'string'), [0x6a, 0, 1, 0x73])
  both(result('s8', 'char'), [0x6a, 1, 0x7e, 1, 0x74])
  both(list(list('u16')), [0x70, 0x7b], [0x70, 0])
  both(result(list('u8'), option(list('u8'))), [0x70, 0x7d], [0x6b, 0], [0x6a, 1, 0, 1, 1])
  types(
    (w) => {
      assert.is(
        w.functionType(
          func([
            { name: 'a', type: list('u8') },
            { name: 'b', type: 's64' },
          ]),
        ),
        1,
      )
      assert.is(w.functionType(func([], list('u8'))), 2)
      assert.is(w.functionType(func([], list('u8'))), 2, 'the same type')
      w.name('handle', 5)
      assert.is(w.functionType(func([{ name: 'h', type: { own: 'handle' } }], { borrow: 'handle' })), 5)
    },
    [0x70, 0x7d],
    [0x40, 2, 'a', 0, 'b', 0x78, 1, 0],
    [0x40, 0, 0, 0],
    [0x69, 5],
    [0x68, 5],
    [0x40, 1, 'h', 3, 0, 4],
  )
  // Where a value's type stands, an index is a signed number: 64 takes two bytes.
  const many = written((w) => {
    for (let i = 0; i < 65; i++) w.definition({ name: `e${i}`, enum: ['a'] })
    w.functionType(func([], named('e63')))
    w.functionType(func([], named('e64')))
  })
  assert.equal(many.slice(-9), [0x40, 0, 0, 63, 0x40, 0, 0, 0xc0, 0])
})

test('core modules, instances, aliases and canonical functions, each counted in its own space', () => {
  const core = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)
  const got = written((w) => {
    assert.is(w.coreModule(core), 0)
    assert.is(w.coreModule(core), 1)
    assert.is(w.coreInstantiate(0, {}), 0)
    assert.is(w.coreInstantiate(1, { a: 0, bc: 3 }), 1)
    assert.is(w.coreExport(1, 'memory', 'memory'), 0)
    assert.is(w.coreExport(0, 'go', 'func'), 0)
    assert.is(w.coreExport(1, 'on', 'func'), 1)
    assert.is(w.coreExport(1, 'other', 'memory'), 1)
    assert.is(
      w.coreBag([
        { name: 'x', sort: CORE_SORT.func, index: 1 },
        { name: 'y', sort: CORE_SORT.memory, index: 0 },
      ]),
      2,
    )
    assert.is(w.coreBag([]), 3)
    assert.is(w.lift(1, func([]), {}), 0)
    assert.is(w.lift(0, func([]), { memory: 1 }), 1)
    assert.is(w.lift(0, func([]), { memory: 0, realloc: 1 }), 2)
    assert.is(w.lower(2, {}), 2)
    assert.is(w.lower(1, { memory: 1, realloc: 0 }), 3)
    assert.is(w.drop(7), 4)
    assert.is(w.coreExport(0, 'last', 'func'), 5)
    assert.is(w.instanceExport(4, 'f', 'func'), 3)
    assert.is(w.instanceExport(4, 't', 'type'), 1)
    assert.is(w.instanceExport(4, 'u', 'type'), 2)
  })
  assert.equal(
    got,
    component(
      [1, 8, ...core],
      [1, 8, ...core],
      section(2, [0, 0, 0], [0, 1, 2, 'a', 0x12, 0, 'bc', 0x12, 3]),
      section(6, [0, 2, 1, 1, 'memory'], [0, 0, 1, 0, 'go'], [0, 0, 1, 1, 'on'], [0, 2, 1, 1, 'other']),
      section(2, [1, 2, 'x', 0, 1, 'y', 2, 0], [1, 0]),
      section(7, [0x40, 0, 1, 0]),
      section(
        8,
        [0, 0, 1, 0, 0],
        [0, 0, 0, 2, 0, 3, 1, 0],
        [0, 0, 0, 3, 0, 3, 0, 4, 1, 0],
        [1, 0, 2, 0],
        [1, 0, 1, 3, 0, 3, 1, 4, 0],
        [3, 7],
      ),
      section(6, [0, 0, 1, 0, 'last'], [1, 0, 4, 'f'], [3, 0, 4, 't'], [3, 0, 4, 'u']),
    ),
  )
})

test('interfaces: imported with the types that they use of others, exported as instances', () => {
  const face: Interface = {
    id: 'a:b/c',
    uses: [{ from: 'a:b/x', names: ['outer'] }],
    types: [
      { name: 'thing', resource: true },
      { name: 'kind', enum: ['k'] },
    ],
    functions: [
      { name: 'go', params: [{ name: 'self', type: { borrow: 'thing' } }], result: named('kind') },
      {
        name: 'end',
        params: [
          { name: 'it', type: { own: 'thing' } },
          { name: 'o', type: named('outer') },
        ],
      },
    ],
  }
  const instance = [
    [0x42, 9],
    // The type of the component around, under a name of its own: types 0 and 1.
    [0x02, 3, 2, 1, 9],
    [0x04, 0, 'outer', 3, 0, 0],
    // Type 2 is the resource; 3 the enumeration, 4 what it is called.
    [0x04, 0, 'thing', 3, 1],
    [0x01, 0x6d, 1, 'k'],
    [0x04, 0, 'kind', 3, 0, 3],
  ]
  const got = written((w) => {
    w.name('outer', 9)
    assert.is(w.import(face), 0)
    assert.is(w.import({ id: 'x:y/z', types: [], functions: [] }), 1)
    w.export('d:e/f@1.0', [
      { name: 'run', sort: SORT.func, index: 4 },
      { name: 'kind', sort: SORT.type, index: 2 },
    ])
    w.export('g:h/i', [])
  })
  const functions = [
    [0x01, 0x68, 2],
    [0x01, 0x40, 1, 'self', 5, 0, 4],
    [0x04, 0, 'go', 1, 6],
    [0x01, 0x69, 2],
    [0x01, 0x40, 2, 'it', 7, 'o', 1, 1, 0],
    [0x04, 0, 'end', 1, 8],
  ]
  const own = flat([[0x42, 11], ...instance.slice(1), ...functions])
  assert.equal(
    got,
    component(
      section(7, own),
      section(10, [0, 'a:b/c', 5, 0]),
      section(7, [0x42, 0]),
      section(10, [0, 'x:y/z', 5, 1]),
      section(5, [1, 2, 0, 'run', 1, 4, 0, 'kind', 3, 2]),
      section(11, [0, 'd:e/f@1.0', 5, 2, 0]),
      section(5, [1, 0]),
      section(11, [0, 'g:h/i', 5, 4, 0]),
    ),
  )
})

// Text ----------------------------------------------------------------------------

test('interfaces as text: every kind of type, documented, without characters that turn lines about', () => {
  const definitions: Definition[] = [
    { name: 'kind', doc: 'Of two.', enum: ['one', 'two'] },
    { name: 'handle', doc: 'A handle.', resource: true },
    {
      name: 'thing',
      record: [
        { name: 'x', type: 'u8', doc: 'First.\r\nSecond.\rThird.\n\nFourth.' },
        { name: 'y', type: option(list('f32')) },
        { name: 'z', type: { tuple: ['s8', named('kind'), { own: 'handle' }, { borrow: 'handle' }] } },
      ],
    },
    { name: 'answer', variant: [{ name: 'none' }, { name: 'some', type: named('thing'), doc: 'One.' }] },
  ]
  const functions: FunctionType[] = [
    { name: 'a', params: [] },
    {
      name: 'b',
      params: [
        { name: 'p', type: 'u8' },
        { name: 'q', type: 'char' },
      ],
      result: result(),
    },
    { name: 'c', doc: 'a\u0007b\u202ec\u200fd\u2067e\u0085f', params: [], result: result('u8') },
    { name: 'd', params: [], result: result(undefined, 'string') },
    { name: 'e', params: [], result: result(named('answer'), named('kind')) },
  ]
  const face = { id: 'my:pack/things', doc: 'Things.', types: definitions, functions }
  assert.is(
    witText(face, { name: 'all', doc: 'A world.' }),
    `package my:pack;

/// Things.
interface things {
  /// Of two.
  enum kind {
    one,
    two,
  }

  /// A handle.
  resource handle;

  record thing {
    /// First.
    /// Second.
    /// Third.
    /// Fourth.
    x: u8,
    y: option<list<f32>>,
    z: tuple<s8, kind, handle, borrow<handle>>,
  }

  variant answer {
    none,
    /// One.
    some(thing),
  }

  a: func();

  b: func(p: u8, q: char) -> result;

  /// a b c d e f
  c: func() -> result<u8>;

  d: func() -> result<_, string>;

  e: func() -> result<answer, kind>;
}

/// A world.
world all {
  export things;
}
`,
  )
  assert.match(
    witText({ id: 'a:b/c', types: [], functions: [] }, { name: 'w' }),
    /^package a:b;\n\ninterface c \{\n\n\}\n\nworld w/,
  )
})

const port = (name: string, dtype: Port['dtype'], shape: number[], address: number): Port => {
  const count = shape.reduce((a, b) => a * b, 1)
  const width = /64/.test(dtype) ? 8 : /32/.test(dtype) ? 4 : /16/.test(dtype) ? 2 : 1
  return { name, dtype, shape, scale: 0.5, zeroPoint: -3, bytes: count * width, address }
}

test('the interface of a model: what it takes, gives and forgets, in the types of its tensors', () => {
  const inputs = [port('a', 'int8', [2, 3], 0), port('b', 'float16', [1], 0)]
  const outputs = [port('c', 'int64', [4], 0)]
  const face = modelInterface({ name: 'net', inputs, outputs, state: true, images: undefined })
  assert.is(face.id, 'thimble:vision/model')
  assert.is(face.doc, 'The model net.')
  assert.equal(
    face.functions.map((f) => f.name),
    ['inputs', 'outputs', 'run', 'reset'],
  )
  const run = face.functions[2]!
  assert.equal(run.params, [
    { name: 'input0', type: list('s8') },
    { name: 'input1', type: list('u16') },
  ])
  assert.equal(run.result, result(list('s64'), named('error')))
  assert.is(
    run.doc,
    'One inference on raw tensors.\nTakes a: int8 [2, 3], 6 elements.\nTakes b: float16 [1], 1 elements.\nGives c: int64 [4], 4 elements.',
  )
  const one = modelInterface({
    name: 'net',
    inputs: inputs.slice(0, 1),
    outputs: [...outputs, ...inputs],
    state: false,
  })
  assert.equal(
    one.functions.map((f) => f.name),
    ['inputs', 'outputs', 'run'],
  )
  assert.equal(one.functions[2]!.params, [{ name: 'input', type: list('s8') }])
  assert.equal(one.functions[2]!.result, result({ tuple: [list('s64'), list('s8'), list('u16')] }, named('error')))
  const error = refusal(() =>
    modelInterface({ name: 'n', inputs: [port('words', 'string', [1], 0)], outputs, state: false }),
  )
  assert.is(error.code, 'usage/target')
  assert.match(error.message, /words.*string/)
  const words = {
    bool: 'u8',
    float32: 'f32',
    float64: 'f64',
    uint64: 'u64',
    uint32: 'u32',
    int16: 's16',
    int32: 's32',
  } as const
  for (const [dtype, type] of Object.entries(words)) {
    const { functions } = modelInterface({
      name: 'n',
      inputs: [port('x', dtype as Port['dtype'], [1], 0)],
      outputs,
      state: false,
    })
    assert.equal(functions[2]!.params[0]!.type, list(type))
  }
})

// The module between ------------------------------------------------------------------

interface Shell {
  realloc(old: number, oldBytes: number, align: number, bytes: number): number
  run(...pointersAndCounts: number[]): number
  inputs(): number
  outputs(): number
  reset?(): void
}

/** The module with a model behind it that ends as it is told. */
function shellOf(inputs: readonly Port[], outputs: readonly Port[], state = false) {
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 40 })
  const { wasm, staticBytes } = glueModule({ inputs, outputs, state, base: 70_000 })
  const model = { status: 0, resets: 0, runs: 0 }
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>), {
    model: {
      memory,
      thimble_invoke: () => {
        model.runs++
        return model.status
      },
      thimble_reset: () => {
        model.resets++
        return 0
      },
    },
  })
  const u32 = (at: number): number => new DataView(memory.buffer).getUint32(at, true)
  const text = (at: number): string => Buffer.from(memory.buffer, u32(at), u32(at + 4)).toString()
  return { shell: exports as unknown as Shell, memory, model, u32, text, staticBytes }
}

test('the module between: an answer for every status, and a sentence with the number for every wrong size', () => {
  const inputs = [port('a', 'int8', [2, 3], 256), port('b', 'int32', [5], 512)]
  const outputs = [port('c', 'float32', [4], 1024), port('d', 'uint8', [7], 2048)]
  const { shell, model, u32, text } = shellOf(inputs, outputs)
  const ok = shell.run(0, 6, 0, 5)
  assert.equal(
    [0, 4, 8, 12, 16].map((i) => u32(ok + i)),
    [0, 1024, 4, 2048, 7],
  )
  const refusedBy = 'the module refused its program: it was not made by one version of thimble pack'
  const sentences: Record<number, string> = {
    [STATUS_BAD_INDEX]: 'an index that the model computed is outside of the tensor that it picks from',
    [STATUS_INEXACT]: "this engine's relaxed dot product is not signed: pack the model with --variant simd",
  }
  for (const status of [1, 2, 3, 4, 5, 6, 7, 8, 9, 77, -1, 2 ** 31 - 1]) {
    model.status = status
    const at = shell.run(0, 6, 0, 5)
    assert.equal([u32(at), u32(at + 4)], [1, 3])
    assert.is(text(at + 8), sentences[status] ?? refusedBy, `status ${status}`)
  }
  model.status = 0
  model.runs = 0
  for (const count of [0, 1, 9, 10, 5, 7, 99, 100, 12_345, 4_294_967_295]) {
    const at = shell.run(0, count | 0, 0, 5)
    assert.equal([u32(at), u32(at + 4)], [1, 0])
    assert.is(text(at + 8), `input 0 (a) is int8 [2, 3]; expected 6 elements, got ${count}`)
    if (count === 5) continue
    const second = shell.run(0, 6, 0, count | 0)
    assert.is(text(second + 8), `input 1 (b) is int32 [5]; expected 5 elements, got ${count}`)
  }
  assert.is(model.runs, 0, 'nothing ran')
  assert.is(shell.run(0, 6, 0, 5), ok)
  assert.is(shell.reset, undefined)
  const alone = shellOf(inputs.slice(0, 1), outputs, true)
  assert.is(alone.text(alone.shell.run(0, 3) + 8), 'the input (a) is int8 [2, 3]; expected 6 elements, got 3')
  alone.shell.reset!()
  assert.is(alone.model.resets, 1)
})

test('the module between: room for an input is the tensor itself; for one of a wrong size it is taken once', () => {
  const inputs = [port('a', 'int8', [8], 256), port('b', 'int8', [8], 512), port('c', 'int16', [3], 768)]
  const { shell, memory } = shellOf(inputs, [port('d', 'uint8', [1], 1024)])
  const room = (bytes: number): number => shell.realloc(0, 0, 1, bytes)
  // In turn: two inputs of one size are told apart.
  for (let i = 0; i < 3; i++) {
    assert.equal([room(8), room(8), room(6)], [256, 512, 768])
    shell.run(0, 8, 0, 8, 0, 3)
  }
  assert.is(memory.buffer.byteLength, 2 * 65536)
  // The second is of a wrong size: the others have their places all the same.
  assert.equal([room(8), room(100), room(6)], [256, 2 * 65536, 768])
  assert.is(memory.buffer.byteLength, 3 * 65536)
  shell.run(0, 8, 0, 100, 0, 3)
  assert.equal([room(65_535), room(8), room(6)], [2 * 65536, 512, 768], 'the same room')
  assert.is(memory.buffer.byteLength, 3 * 65536)
  shell.run(0, 0, 0, 8, 0, 3)
  assert.is(room(65_537), 3 * 65536)
  assert.is(memory.buffer.byteLength, 5 * 65536, 'whole pages, one more than the bytes fill')
  assert.throws(() => room(40 * 65536), WebAssembly.RuntimeError)
})

test('the module between: descriptions of the tensors lie where inputs() and outputs() say', () => {
  const inputs = [port('a', 'int8', [2, 3], 256)]
  const outputs = [port('über', 'float32', [1, 4, 5], 1024), port('c', 'bool', [], 2048)]
  const { shell, memory, u32, text, staticBytes } = shellOf(inputs, outputs)
  for (const [at, tensors] of [
    [shell.inputs(), inputs],
    [shell.outputs(), outputs],
  ] as const) {
    assert.is(u32(at + 4), tensors.length)
    tensors.forEach((t, i) => {
      const entry = u32(at) + 28 * i
      assert.is(text(entry), t.name)
      assert.equal(
        t.shape.map((_, k) => u32(u32(entry + 8) + 4 * k)),
        t.shape,
      )
      assert.is(u32(entry + 12), t.shape.length)
      assert.is(u32(entry + 16), dataType(t.dtype))
      assert.is(new DataView(memory.buffer).getFloat32(entry + 20, true), 0.5)
      assert.is(u32(entry + 24) | 0, -3)
      assert.ok(entry >= 70_000 && entry + 28 <= 70_000 + staticBytes)
    })
  }
})

test.run()
