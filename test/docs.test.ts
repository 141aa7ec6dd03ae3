/** Pages and pictures that are made from the sources are as the sources are. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { architecture, roads } from '../tools/arch/draw.ts'
import { FLOORS } from '../tools/arch/layers.ts'
import { apiPage } from '../tools/docs/api.ts'
import { publicExports } from '../tools/docs/exports.ts'
import { root } from './util.ts'

const read = (path: string): string => readFileSync(join(root, path), 'utf8')

test('docs/architecture.svg is up to date (npm run arch)', () => {
  const picture = read('docs/architecture.svg')
  assert.is(picture, architecture(join(root, 'src')))
  for (const { name } of FLOORS.flat()) assert.ok(picture.includes(`>${name} · `), name)
  assert.ok(read('ARCHITECTURE.md').includes('docs/architecture.svg'))
})

test('imports are counted by room', () => {
  const imports = [
    { from: 'lower/index.ts', to: 'graph/graph.ts' },
    { from: 'lower/index.ts', to: 'base/errors.ts' },
    { from: 'lower/pack.ts', to: 'graph/graph.ts' },
    { from: 'lower/pack.ts', to: 'lower/index.ts' },
  ]
  assert.equal(roads(imports), [
    { from: 'lower', to: 'graph', count: 2 },
    { from: 'lower', to: 'base', count: 1 },
  ])
})

test('docs/api.md is up to date (tsx tools/docs/api.ts)', () => {
  const all = publicExports()
  const page = read('docs/api.md')
  assert.is(page, apiPage(all))
  for (const { name } of all) assert.ok(page.includes(`### ${name}\n`), name)
})

test('the reference says once what entry points share, and what is only in one', () => {
  const e = { kind: 'function' as const, file: 'src/a.ts', words: 'Says.', examples: ['page\nsay()'] }
  const page = apiPage([
    { ...e, entry: 'node', name: 'say' },
    { ...e, entry: 'browser', name: 'say' },
    { ...e, entry: 'browser', name: 'other' },
  ])
  assert.is(page.split('### say\n').length, 2)
  assert.match(page, /```ts\nsay\(\)\n```/)
  assert.match(page, /Also here, as above: `say`/)
  assert.match(page, /### other\n/)
})

test.run()
