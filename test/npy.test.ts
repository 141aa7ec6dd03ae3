/** NumPy's files: every type, byte order and element order as numpy itself writes them; damage; raw files. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readNpy, readNpz, readRaw } from '../src/convert/npy.ts'
import { ThimbleError } from '../src/base/errors.ts'
import { refusal, rng, root } from './util.ts'

// Made by tools/goldens/npy.py.
const folder = join(root, 'test/fixtures/npy')
const file = (name: string): Uint8Array => readFileSync(join(folder, name))
const GRID = Array.from({ length: 24 }, (_, i) => i)

test('every number type, little and big endian, row-major and Fortran order', () => {
  const names = readdirSync(folder).filter((n) => /_[CF]\.npy$/.test(n))
  assert.is(names.length, 30)
  for (const name of names) {
    const { shape, data, dtype } = readNpy(file(name), name)
    const want = dtype === '|b1' ? GRID.map((v) => v % 2) : GRID.map((v) => v - (dtype.includes('u') ? 0 : 7))
    assert.equal(shape, [2, 3, 4], name)
    assert.equal([...data], want, name)
  }
  assert.equal(readNpy(file('scalar.npy'), 's'), { shape: [], data: Float32Array.of(2.5), dtype: '<f4' })
})

test('archives, stored and compressed, with names and without', () => {
  const plain = readNpz(file('plain.npz'), 'p')
  assert.equal([...plain.keys()], ['a', 'b'])
  assert.equal([...plain.get('a')!.data], GRID)
  const packed = readNpz(file('compressed.npz'), 'c')
  assert.equal(
    [...packed].map(([k, a]) => [k, a.shape.length]),
    [
      ['arr_0', 3],
      ['arr_1', 2],
    ],
  )
})

test('refused with a reason: no numbers, NaN, another length', () => {
  for (const [name, reason] of [
    ['complex.npy', /no plain numbers.*<c8/],
    ['text.npy', /no plain numbers.*<U2/],
    ['records.npy', /no plain numbers/],
    ['object.npy', /no plain numbers.*\|O/],
    ['nan.npy', /NaN.*element 1/],
  ] as const) {
    const error = refusal(() => readNpy(file(name), name))
    assert.is(error.code, 'format/npy')
    assert.match(error.message, reason)
  }
  const good = file('le_f4_C.npy')
  assert.match(refusal(() => readNpy(good.subarray(0, -4), 'x')).message, /expected 96 bytes of elements, got 92/)
  assert.match(refusal(() => readNpy(good.subarray(0, 40), 'x')).message, /ends within its header/)
  const later = good.slice()
  later[6] = 9
  assert.match(refusal(() => readNpy(later, 'x')).message, /later format/)
  assert.match(refusal(() => readNpz(file('scalar.npy'), 'x')).code, /^format\//)
})

test('damaged headers end in an error of ours or in numbers', () => {
  const good = file('le_f4_F.npy')
  const next = rng(7)
  for (let i = 0; i < 3000; i++) {
    const bad = good.slice(0, next() < 0.2 ? next.int(good.length) : good.length)
    for (let k = 0; k < 1 + next.int(3); k++) if (bad.length) bad[next.int(Math.min(bad.length, 128))] = next.int(256)
    try {
      readNpy(bad, 'x')
    } catch (error) {
      assert.instance(error, ThimbleError)
    }
  }
})

test('raw files', () => {
  const bytes = new Uint8Array(Int16Array.of(-3, 200).buffer)
  assert.equal([...readRaw(bytes, 'int16', 'r').data], [-3, 200])
  assert.equal([...readRaw(bytes, 'uint8', 'r').data], [253, 255, 200, 0])
  assert.match(refusal(() => readRaw(bytes.subarray(1), 'int16', 'r')).message, /multiple of 2 bytes, got 3/)
})

test.run()
