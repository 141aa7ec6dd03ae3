/**
 * The WASI command as a component, through the official adapter for preview 1, in Wasmtime. The adapter takes a page of
 * the command's memory for itself by memory.grow while the command is running.
 *
 * `@bytecodealliance/jco` (which carries the adapter) and `jco-transpile` (which makes components) are looked for in
 * the engines' npm folder and in THIMBLE_PEERS.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { encode } from 'jpeg-js'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readModel } from '../../src/formats/index.ts'
import { createClassifier, loadModel } from '../../src/node.ts'
import { packGraph } from '../../src/pack/pack.ts'
import type { Prediction } from '../../src/graph/types.ts'
import { makePng } from '../image-files.ts'
import { need, root } from '../util.ts'
import { ENGINES } from './engines.ts'

const test = suite('engines: component')
const dir = mkdtempSync(join(tmpdir(), 'thimble-component-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

const packages = [join(ENGINES, 'jco'), join(ENGINES, 'npm'), process.env.THIMBLE_PEERS ?? '']
  .map((folder) => join(folder, 'node_modules/@bytecodealliance'))
  .find((folder) => existsSync(join(folder, 'jco/lib')) && existsSync(join(folder, 'jco-transpile/vendor')))
const wasmtime = existsSync(join(ENGINES, 'python/wasmtime')) || undefined
const MODEL = join(root, 'weights/dogs_mobilenet_v2_1.0_160.thimble')

interface WasmTools {
  $init: Promise<void>
  tools: { componentNew(module: Uint8Array, adapters: [string, Uint8Array][]): Uint8Array }
}

async function component(module: Uint8Array, folder: string): Promise<Uint8Array> {
  const url = pathToFileURL(join(folder, 'jco-transpile/vendor/wasm-tools.js')).href
  const { $init, tools } = (await import(url)) as WasmTools
  await $init
  const adapter = readFileSync(join(folder, 'jco/lib/wasi_snapshot_preview1.command.wasm'))
  return tools.componentNew(module, [['wasi_snapshot_preview1', new Uint8Array(adapter)]])
}

need(
  test,
  'Wasmtime: photos of all sizes get the scores of Node',
  { resource: wasmtime && packages, missing: 'Wasmtime or @bytecodealliance/jco is missing' },
  async (folder) => {
    const { wasm } = await packGraph(readModel(readFileSync(MODEL)), { target: 'wasi' })
    const path = join(dir, 'command.wasm')
    writeFileSync(path, await component(wasm, folder))
    copyFileSync(join(root, 'weights/samples/cat.jpg'), join(dir, 'cat.jpg'))
    const [width, height] = [2400, 1800]
    const data = Uint8Array.from({ length: width * height * 4 }, (_, i) => (i * 7) >> 9)
    writeFileSync(join(dir, 'large.jpg'), encode({ data, width, height }, 90).data)
    writeFileSync(
      join(dir, 'small.png'),
      makePng(64, 48, (x, y, c) => (x * y + c * 50) & 255, { type: 2, depth: 8 }),
    )
    // Large, small and large again: the memory grows, with the adapter's page in between.
    const names = ['small.png', 'large.jpg', 'cat.jpg', 'large.jpg', 'small.png']
    const { stdout, stderr, status } = spawnSync(
      'python3',
      [fileURLToPath(new URL('hosts/wasi_component.py', import.meta.url)), path, dir, '--json', '--top', '3', ...names],
      { env: { ...process.env, PYTHONPATH: join(ENGINES, 'python') }, timeout: 120_000 },
    )
    assert.is(status, 0, stderr.toString())
    const answers = JSON.parse(stdout.toString()) as { predictions: Prediction[] }[]
    const classifier = await createClassifier(await loadModel(MODEL), { topK: 3 })
    const rounded = (list: readonly Prediction[]): string =>
      list.map(({ index, score }) => `${index}:${score.toFixed(9)}`).join(' ')
    answers.forEach(({ predictions }, i) => {
      const expected = classifier.classify(readFileSync(join(dir, names[i]!)))
      assert.is(rounded(predictions), rounded(expected), names[i])
    })
    assert.is(answers.length, names.length)
  },
)

test.run()
