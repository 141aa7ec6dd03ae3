/** `require('thimble')`: what Jest and older tools load. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { root } from './util.ts'

const SCRIPT = `
const { loadModel, createClassifier, ThimbleError } = require('thimble')
const vision = require('thimble/vision')
const { readFileSync } = require('node:fs')
async function main() {
  const model = await loadModel(${JSON.stringify(join(root, 'weights/mobilenet_v2_1.0_224.thimble'))})
  const classifier = await createClassifier(model)
  const [best] = classifier.classify(readFileSync(${JSON.stringify(join(root, 'weights/samples/cat.jpg'))}))
  const error = await loadModel('/no/such/file').catch((e) => e)
  const threads = await loadModel(${JSON.stringify(join(root, 'weights/face_landmarks_68_tiny_112.thimble'))}, { threads: 2 })
  threads.dispose()
  console.log(JSON.stringify([best.label, error instanceof ThimbleError, typeof vision.createDetector]))
}
main()
`

test('a CommonJS script finds the package, its parts and its worker script', () => {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-cjs-'))
  try {
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(root, join(folder, 'node_modules/thimble'), 'dir')
    writeFileSync(join(folder, 'main.cjs'), SCRIPT)
    const { stdout, stderr } = spawnSync(process.execPath, ['main.cjs'], { cwd: folder, encoding: 'utf8' })
    assert.equal(JSON.parse(stdout || '[]'), ['Egyptian cat', true, 'function'], stderr)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test.run()
