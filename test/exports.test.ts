/**
 * The public surface: what package.json's entry points export. Every export has words, every function and class an
 * example (`@example`), and the examples run. `@example page` and `@example worker` need another host: they are
 * compiled (test/typings.test.ts), not run.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { transformSync } from 'esbuild'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ENTRIES, examplesOf, publicExports } from '../tools/docs/exports.ts'
import { exampleFiles } from './example-files.ts'
import { need, root } from './util.ts'

const all = publicExports()

test('the entry points export what users call, nothing else', () => {
  const values = (entry: string): string[] =>
    all
      .filter((e) => e.entry === entry && e.kind !== 'type')
      .map((e) => e.name)
      .sort()
  assert.equal(values('node'), ['ThimbleError', 'createClassifier', 'decodeImage', 'inspectModel', 'loadModel'])
  assert.equal(values('browser'), [
    'ThimbleError',
    'createClassifier',
    'decodeAnywhere',
    'decodeImage',
    'decodeInBrowser',
    'inspectModel',
    'loadModel',
  ])
  assert.equal(values('workerd'), ['ThimbleError', 'createClassifier', 'loadModel'])
  assert.ok(values('vision').includes('createDetector'))
})

test('every export says what it is', () => {
  const silent = all.filter((e) => !e.words).map((e) => `${e.entry}: ${e.name} (${e.file})`)
  assert.equal(silent, [], 'a /** … */ with shapes, units and errors is due')
})

test('every function and class shows how it is used', () => {
  const bare = all.filter((e) => e.kind !== 'type' && examplesOf(e).length === 0).map((e) => `${e.entry}: ${e.name}`)
  assert.equal(bare, [], 'an @example is due')
})

test('an export without words or example is noticed', () => {
  const found = publicExports({
    'entry.ts': 'export function bare(): void {}\n/** Said. */\nexport function said(): void {}\nexport type T = 1\n',
  })
  assert.equal(
    found.map(({ name, kind, words }) => [name, kind, words !== '']),
    [
      ['T', 'type', false],
      ['bare', 'function', false],
      ['said', 'function', true],
    ],
  )
  assert.equal(found.flatMap(examplesOf), [])
})

/** Examples that run in Node, by the name of the file that they become. */
const examples = ENTRIES.flatMap((entry) =>
  all
    .filter((e) => e.entry === entry)
    .flatMap((e) => examplesOf(e).map((example, i) => ({ ...example, file: `${entry}-${e.name}-${i}.mjs` }))),
).filter((e) => e.host === 'node')

need(
  test,
  `${examples.length} examples run`,
  { resource: existsSync(join(root, 'dist/node.js')) || undefined, missing: 'dist/ (npm run build)' },
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'thimble-examples-'))
    try {
      mkdirSync(join(folder, 'node_modules'))
      symlinkSync(root, join(folder, 'node_modules/thimble'), 'junction')
      exampleFiles(folder)
      const ran = new Set<string>()
      for (const { file, code } of examples) {
        const { code: js } = transformSync(code, { loader: 'ts', format: 'esm', target: 'es2022' })
        writeFileSync(join(folder, file), js)
        ran.add(file)
      }
      const runner = [...ran].map(
        (file) => `await import('./${file}').catch((e) => { throw new Error(${JSON.stringify(file)}, { cause: e }) })`,
      )
      writeFileSync(join(folder, 'all.mjs'), runner.join('\n'))
      const said = execFileSync(process.execPath, ['all.mjs'], { cwd: folder, encoding: 'utf8', timeout: 120_000 })
      assert.match(said, /cat|tabby/)
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)

test.run()
