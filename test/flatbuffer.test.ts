import { test } from 'uvu'
import * as assert from 'uvu/assert'
import fc from 'fast-check'
import { ThimbleError } from '../src/base/errors.ts'
import { bool, f32, FlatBufferBuilder, i32, i8, offset, u32, u64, u8 } from '../src/formats/flatbuffer-build.ts'
import { FlatBuffer, type Table } from '../src/formats/flatbuffer.ts'
import { readFlexMap } from '../src/formats/flexbuffer.ts'
import { errorCode } from './util.ts'

const root = (bytes: Uint8Array): Table => new FlatBuffer(bytes, 'file').root('TEST')

test('every kind of field comes back, absent ones as their default', () => {
  fc.assert(
    fc.property(
      fc.record({
        a: fc.integer({ min: -128, max: 127 }),
        b: fc.nat(255),
        c: fc.integer(),
        d: fc.nat(0xffffffff),
        e: fc.float({ noNaN: true }),
        f: fc.boolean(),
        g: fc.maxSafeNat(),
      }),
      fc.record({
        ints: fc.array(fc.integer()),
        floats: fc.array(fc.float({ noNaN: true })),
        longs: fc.array(fc.maxSafeInteger()),
        text: fc.string({ unit: 'grapheme' }),
        bytes: fc.uint8Array(),
      }),
      ({ a, b, c, d, e, f, g }, { ints, floats, longs, text, bytes }) => {
        const w = new FlatBufferBuilder()
        const vectors = [
          w.int32Vector(ints),
          w.float32Vector(floats),
          w.int64Vector(longs),
          w.string(text),
          w.byteVector(bytes, 16),
        ]
        const children = w.offsetVector([w.table([i32(1)]), w.table([]), w.table([i32(3)])])
        const at = w.table([
          i8(a),
          u8(b),
          i32(c),
          u32(d),
          f32(e),
          bool(f),
          u64(g),
          undefined,
          ...vectors.map(offset),
          offset(children),
        ])
        const t = root(w.finish(at, 'TEST'))
        assert.equal([t.int8(0), t.uint8(1), t.int32(2), t.uint32(3), t.bool(5), t.uint64(6)], [a, b, c, d, f, g])
        assert.ok(Object.is(t.float32(4), e))
        assert.equal([t.int32(7, -5), t.int32(99, 7), t.has(7), t.has(0)], [-5, 7, false, true])
        assert.equal(t.int32s(8, 'ints', 1e6), ints)
        assert.equal(t.float32s(9, 'floats', 1e6), floats)
        assert.equal([...t.float32Array(9, 'floats', 1e6)!], floats)
        const tooWide = longs.find((v) => v !== (v | 0))
        const narrow = (): number[] => [
          ...t.int64sAsInt32(10, 'longs', 1e6, (v) => {
            throw new Error(`wide ${v}`)
          })!,
        ]
        if (tooWide === undefined) assert.equal(narrow(), longs)
        else assert.throws(narrow, `wide ${tooWide}`)
        assert.is(t.string(11, 'text'), new TextDecoder().decode(new TextEncoder().encode(text)))
        assert.equal([...t.bytes(12, 'bytes')!], [...bytes])
        assert.is(t.bytes(12, 'bytes')!.buffer, t.file.bytes.buffer, 'a view, not a copy')
        assert.equal(
          t.tables(13, 'children', 10).map((c) => c.int32(0)),
          [1, 0, 3],
        )
        assert.is(t.table(50, 'none'), undefined)
        assert.equal(t.tables(50, 'none', 10), [])
      },
    ),
    { numRuns: 200 },
  )
})

test('a buffer inside a larger one is read at its own offset', () => {
  const w = new FlatBufferBuilder()
  const bytes = w.finish(w.table([i32(42)]), 'TEST')
  const outer = new Uint8Array(bytes.length + 13).fill(0xee)
  outer.set(bytes, 5)
  assert.is(root(outer.subarray(5, 5 + bytes.length)).int32(0), 42)
  assert.is(
    errorCode(() => root(outer.subarray(5, 5 + bytes.length - 1)).int32(0)),
    'format/flatbuffer',
    'bytes past the view are not read',
  )
})

test('wrong identifier and files too short for a header', () => {
  const w = new FlatBufferBuilder()
  const bytes = w.finish(w.table([i32(42)]), 'NOPE')
  assert.is(
    errorCode(() => root(bytes)),
    'format/flatbuffer',
  )
  for (let n = 0; n < 8; n++) {
    assert.is(
      errorCode(() => root(bytes.subarray(0, n))),
      'format/flatbuffer',
    )
  }
})

test('a field is refused unless all of it lies within its table', () => {
  const w = new FlatBufferBuilder()
  const bytes = w.finish(w.table([u8(1), i32(2), u64(3)]), 'TEST')
  const view = new DataView(bytes.buffer)
  const at = view.getUint32(0, true)
  const vtable = at - view.getInt32(at, true)
  const tableBytes = view.getUint16(vtable + 2, true)
  const read = [
    [1, (t: Table) => t.uint8(0)],
    [4, (t: Table) => t.int32(1)],
    [8, (t: Table) => t.uint64(2)],
  ] as const
  read.forEach(([width, field], slot) => {
    const kept = view.getUint16(vtable + 4 + 2 * slot, true)
    for (let place = 1; place <= tableBytes + 8; place++) {
      view.setUint16(vtable + 4 + 2 * slot, place, true)
      const fits = place >= 4 && place + width <= tableBytes
      assert.is(
        errorCode(() => field(root(bytes))),
        fits ? 'no error' : 'format/flatbuffer',
        `${width} bytes at ${place} of ${tableBytes}`,
      )
    }
    view.setUint16(vtable + 4 + 2 * slot, kept, true)
  })
})

test('a vector longer than the file, or than its limit', () => {
  const w = new FlatBufferBuilder()
  const v = w.int32Vector([1, 2, 3])
  const bytes = w.finish(w.table([offset(v)]), 'TEST')
  assert.is(
    errorCode(() => root(bytes).int32s(0, 'v', 2)),
    'format/limit',
  )
  const view = new DataView(bytes.buffer)
  const at = Array.from({ length: bytes.length / 4 }, (_, i) => 4 * i).find(
    (i) => view.getUint32(i, true) === 3 && view.getUint32(i + 4, true) === 1,
  )!
  for (const length of [4, 1000, 0x7fffffff, 0xffffffff]) {
    view.setUint32(at, length, true)
    assert.is(
      errorCode(() => root(bytes).int32s(0, 'v', 1e9)),
      'format/flatbuffer',
    )
    assert.is(
      errorCode(() => root(bytes).bytes(0, 'v')),
      length === 4 ? 'no error' : 'format/flatbuffer',
    )
  }
})

test('a small file that refers to one large vector over and over is refused, quickly', () => {
  const w = new FlatBufferBuilder()
  const big = w.int32Vector(new Array<number>(50_000).fill(7))
  const child = w.table([offset(big)])
  const bytes = w.finish(w.table([offset(w.offsetVector(new Array<number>(50_000).fill(child)))]), 'TEST')
  const start = performance.now()
  assert.is(
    errorCode(() =>
      root(bytes)
        .tables(0, 'children', 1e6)
        .map((t) => t.int32s(0, 'big', 1e6)),
    ),
    'format/flatbuffer',
  )
  assert.ok(performance.now() - start < 5000, 'within seconds')
})

test('any damage ends in a value or a ThimbleError', () => {
  const w = new FlatBufferBuilder()
  const leaf = w.table([i32(5), offset(w.string('leaf')), offset(w.float32Vector([1, 2, 3]))])
  const bytes = w.finish(w.table([i8(1), offset(w.offsetVector([leaf, leaf])), offset(leaf), u64(9)]), 'TEST')
  const walk = (t: Table, depth: number): void => {
    for (let slot = 0; slot < 4; slot++) {
      t.int8(slot)
      t.int32(slot)
      t.float32(slot)
      t.uint64(slot)
      t.bool(slot)
      for (const read of [
        () => t.string(slot, 's'),
        () => t.int32s(slot, 'v', 100),
        () => t.float32Array(slot, 'v', 100),
        () =>
          t.int64sAsInt32(slot, 'v', 100, () => {
            throw new ThimbleError('format/quantization', 'wide')
          }),
        () => t.bytes(slot, 'b'),
      ]) {
        errorCode(read)
      }
      if (depth < 3) {
        errorCode(() => {
          for (const child of t.tables(slot, 'c', 100)) walk(child, depth + 1)
        })
      }
      if (depth < 3) {
        errorCode(() => {
          const child = t.table(slot, 'c')
          if (child) walk(child, depth + 1)
        })
      }
    }
  }
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length - 1), fc.nat(255), (a, x, b, y) => {
      const damaged = bytes.slice()
      damaged[a] = x
      damaged[b] = y
      const result = errorCode(() => walk(root(damaged), 0))
      assert.ok(result === 'no error' || result.startsWith('format/'), result)
    }),
    { numRuns: 2000 },
  )
})

// Made by the Python package flatbuffers 25.12.19 (flexbuffers.Dumps).
const FLEX =
  'bWF4X2RldGVjdGlvbnMAbWF4X2NsYXNzZXNfcGVyX2RldGVjdGlvbgBubXNfc2NvcmVfdGhyZXNob2xkAG5tc19pb3VfdGhyZXNob2xkAG51bV9jbGFzc2VzAHlfc2NhbGUAeF9zY2FsZQBoX3NjYWxlAHdfc2NhbGUAbmFtZQABeABiaWcACwUee4sRUGVAHS43AAAAAAAQAAAAAAAAAAEAAAAAAAAACwAAAAAAAAD7/////////wAAAAAAABRAAQAAAAAAAADoAwAAAAAAAE8AAAAAAAAAAAAAQDMz4z86jDDijnlFPloAAAAAAAAAAAAAAAAAFEAAAAAAAAAkQAAAAAAAACRABw8HBxQPDwcPDw9jJwE='

test('flexbuffer map: integers, floats, negative numbers; strings are left out', () => {
  assert.equal(Object.fromEntries(readFlexMap(new Uint8Array(Buffer.from(FLEX, 'base64')))), {
    max_detections: 1000,
    max_classes_per_detection: 1,
    nms_score_threshold: 1e-8,
    nms_iou_threshold: 0.6000000238418579,
    num_classes: 90,
    y_scale: 10,
    x_scale: 10,
    h_scale: 5,
    w_scale: 5,
    big: -5,
  })
})

test('flexbuffer: any two changed bytes, any cut, end in a map or a ThimbleError', () => {
  const bytes = new Uint8Array(Buffer.from(FLEX, 'base64'))
  for (let n = 0; n < bytes.length; n++) {
    const result = errorCode(() => readFlexMap(bytes.subarray(0, n)))
    assert.ok(result === 'no error' || result === 'format/flexbuffer', `cut to ${n}: ${result}`)
  }
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length - 1), fc.nat(255), (a, x, b, y) => {
      const damaged = bytes.slice()
      damaged[a] = x
      damaged[b] = y
      const result = errorCode(() => readFlexMap(damaged))
      assert.ok(result === 'no error' || result === 'format/flexbuffer', result)
    }),
    { numRuns: 3000 },
  )
})

test.run()
