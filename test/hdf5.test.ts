/** HDF5 files as h5py writes them, and damaged ones: values or one clear error, in bounded time. */
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Hdf5Dataset, Hdf5Group, openHdf5 } from '../src/convert/hdf5/file.ts'
import { ThimbleError } from '../src/base/errors.ts'
import { refusal, rng, root } from './util.ts'

const folder = `${root}test/fixtures/hdf5/`
const expected = JSON.parse(readFileSync(`${folder}expected.json`, 'utf8')) as Record<
  string,
  Record<string, { shape: number[]; values: number[] }>
>
const file = (name: string): Uint8Array => new Uint8Array(readFileSync(`${folder}${name}.h5`))

for (const [name, datasets] of Object.entries(expected)) {
  test(`${name}.h5: every dataset's shape and values`, () => {
    const h5 = openHdf5(file(name))
    for (const [path, { shape, values }] of Object.entries(datasets)) {
      const dataset = h5.get(path)
      assert.instance(dataset, Hdf5Dataset, path)
      assert.equal((dataset as Hdf5Dataset).shape, shape, path)
      assert.equal([...(dataset as Hdf5Dataset).numbers()], values, path)
    }
    assert.is(h5.get('no/such/thing'), undefined)
  })
}

test('attributes: text of any length, fixed and listed', () => {
  const { attributes } = openHdf5(file('earliest'))
  assert.is(attributes.get('text')!.text(), 'a name with é')
  assert.is(attributes.get('fixed')!.text(), 'bytes')
  assert.equal(attributes.get('list')!.strings(), ['one', 'two', 'three'])
  assert.equal(attributes.get('fixed list')!.strings(), ['a', 'bc'])
  assert.is(attributes.get('long')!.text(), 'x'.repeat(100000))
  assert.is(openHdf5(file('v108')).attributes.get('text')!.text(), 'modern')
})

test('members of a group by name', () => {
  const h5 = openHdf5(file('userblock'))
  assert.is(h5.group('many')!.keys().length, 24)
  assert.equal(h5.group('ints')!.keys(), ['i1', 'i8', 'u2'])
})

test('what is no HDF5 is refused', () => {
  assert.is(refusal(() => openHdf5(new Uint8Array(4096))).code, 'format/hdf5')
  assert.is(refusal(() => openHdf5(new Uint8Array(0))).code, 'format/hdf5')
})

/** Reads all that a file holds. */
function readAll(group: Hdf5Group, depth = 0): number {
  let count = group.attributes.size
  for (const a of group.attributes.values()) a.strings()
  for (const key of depth < 8 ? group.keys() : []) {
    const member = group.get(key)
    if (member instanceof Hdf5Group) count += readAll(member, depth + 1)
    else if (member) count += member.numbers().length
  }
  return count
}

test('damaged files end in values or format/hdf5', () => {
  const random = rng(11)
  const good = file('earliest')
  let refused = 0
  for (let i = 0; i < 1000; i++) {
    const bytes = good.slice(0, random.int(20) ? good.length : random.int(good.length))
    for (let k = 0; k < 1 + random.int(4) && bytes.length; k++) {
      // Structures lie at the front and between the groups.
      bytes[random.int(random.int(2) ? Math.min(4096, bytes.length) : bytes.length)] = random.int(256)
    }
    try {
      readAll(openHdf5(bytes))
    } catch (error) {
      if (!(error instanceof ThimbleError) || error.code !== 'format/hdf5') throw error
      refused++
    }
  }
  assert.ok(refused > 100, `${refused} refused`)
})

test.run()
