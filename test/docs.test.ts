/** Pages and pictures that are made from the sources are as the sources are. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
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

/** Paths of this repository that a text names; patterns (`*`) and places to fill in (`FOLDER`) are none. */
const namedPaths = (text: string): string[] =>
  [...text.matchAll(/(?<![\w./@-])(?:src|test|tools|assembly)\/[\w./*-]*[\w/*]/g)]
    .map(([path]) => path)
    .filter((path) => !/\*|\b[A-Z]+\b(?!\.md)/.test(path))

test('paths are found in text: files and folders, no patterns, no parts of longer paths', () => {
  const text = '`src/a.ts`, [b](test/b/) tools/c. src/*.ts src/FOLDER/FILE.ts ../src/d.ts examples/e/src/f.ts'
  assert.equal(namedPaths(text), ['src/a.ts', 'test/b/', 'tools/c'])
})

test('every path of src, test, tools and assembly that the pages name is there', () => {
  const pages = ['.', 'docs'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.md') && name !== 'CHANGELOG.md')
      .map((name) => join(folder, name)),
  )
  const named = pages.flatMap((page) => namedPaths(read(page)).map((path) => ({ page, path })))
  assert.ok(named.length > 100, `${named.length} paths`)
  assert.equal(
    named.filter(({ path }) => !existsSync(join(root, path))),
    [],
  )
})

test('every npm script that the pages for contributors name is there', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  for (const page of ['ARCHITECTURE.md', 'CONTRIBUTING.md', 'RATIONALE.md', 'TESTING.md']) {
    for (const [, name] of read(page).matchAll(/npm run ([a-z][\w:-]*)/g)) {
      assert.ok(name! in scripts, `${page}: ${name}`)
    }
  }
})

test.run()
