/** The house: no import circles, and every import goes down (tools/arch/layers.ts has the floors). */
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { circles, importsOf, placeOf, sources, upward } from '../tools/arch/imports.ts'
import { FLOORS } from '../tools/arch/layers.ts'

const src = fileURLToPath(new URL('../src', import.meta.url))
const imports = importsOf(src)

test('the imports are read: values, types, re-exports and import()', () => {
  const has = (from: string, to: string): boolean => imports.some((i) => i.from === from && i.to === to)
  assert.ok(has('arithmetic/numerics.ts', 'graph/graph.ts'))
  assert.ok(has('graph/types.ts', 'graph/graph.ts'), 'import type')
  assert.ok(has('index.ts', 'engine/inspect.ts'), 'export … from')
  assert.ok(has('cli/commands.ts', 'cli/classify.ts'), 'import()')
  assert.ok(imports.length > 800)
})

test('no import circles', () => {
  assert.equal(circles(imports), [])
})

test('circles are found', () => {
  const ring = ['a', 'b', 'c', 'a'].flatMap((to, i, all) => (i ? [{ from: all[i - 1]!, to }] : []))
  assert.equal(circles([...ring, { from: 'c', to: 'd' }]), [['a', 'b', 'c']])
  assert.equal(circles([{ from: 'a', to: 'a' }]), [['a']])
})

test('every file has a room, and every room exists', () => {
  assert.equal(
    sources(src).filter((file) => !placeOf(file)),
    [],
  )
  const files = [...sources(src), 'generated/layout.ts']
  for (const { name, holds } of FLOORS.flat()) {
    for (const h of holds) {
      assert.ok(
        files.some((f) => f === h || (h.endsWith('/') && f.startsWith(h))),
        `${name}: ${h}`,
      )
    }
  }
})

test('imports go down', () => {
  assert.equal(upward(imports), [])
})

test('imports that go up or sideways are found', () => {
  assert.is(upward([{ from: 'graph/graph.ts', to: 'formats/programs.ts' }]).length, 1)
  assert.is(upward([{ from: 'lower/index.ts', to: 'convert/index.ts' }]).length, 1)
  assert.is(upward([{ from: 'lower/index.ts', to: 'nowhere.ts' }]).length, 1)
  assert.equal(upward([{ from: 'plan/compile.ts', to: 'lower/index.ts' }]), [])
})

test.run()
