/** `serve` as the clients that people have see it: deepstack-python, codeproject-ai-api, tritonclient, Prometheus. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { loadModel } from '../src/node.ts'
import { thimble } from './call-cli.ts'
import { ENGINES } from './engines/engines.ts'
import { need, root } from './util.ts'

const test = suite('serve-clients')
const COMMAND = join(root, 'dist/cli.js')
const SAMPLE = join(root, 'weights/samples/astronaut.jpg')
const CLIENTS = join(ENGINES, 'clients')
const SCRIPT = join(root, 'test/peers/serve_clients.py')
const MODEL = 'face_detector_tiny_416'

/** A process that ends by its id; its first line, and all that it says. */
function started(
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
): {
  line: Promise<string>
  all: Promise<string>
  stop(): void
} {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  let out = ''
  let err = ''
  child.stderr.on('data', (chunk) => (err += String(chunk)))
  const line = new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      out += String(chunk)
      if (out.includes('\n')) resolve(out)
    })
    child.on('close', () => reject(new Error(`ended: ${err}`)))
  })
  line.catch(() => {})
  const all = new Promise<string>((resolve, reject) => {
    child.on('close', (code) => (code === 0 ? resolve(out) : reject(new Error(`${code}: ${err}`))))
  })
  all.catch(() => {})
  return { line, all, stop: () => void child.kill('SIGTERM') }
}

interface Prediction {
  label: string
  confidence: number
  x_min: number
  y_min: number
  x_max: number
  y_max: number
}

for (const key of ['', 'secret']) {
  need(
    test,
    `clients understand every answer, ${key ? 'with' : 'without'} a key`,
    {
      resource: (existsSync(COMMAND) && existsSync(CLIENTS)) || undefined,
      missing: 'the Python clients are not installed; .ci/engines.sh clients installs them',
    },
    async () => {
      const models = ['--model', `faces=${MODEL}`, '--model', 'things=mobilenet_v2_1.0_224']
      const server = started(process.execPath, [COMMAND, 'serve', '--port', '0', '--log', 'none', ...models], {
        THIMBLE_API_KEY: key,
      })
      try {
        const port = /:(\d+)\s*$/.exec(await server.line)![1]!
        const asked = started('python3', [SCRIPT, port, SAMPLE, 'faces', key], { PYTHONPATH: CLIENTS })
        const told = JSON.parse(await asked.all) as Record<string, any>
        const [said] = JSON.parse((await thimble(['detect', SAMPLE, '--model', MODEL, '--json'])).out) as {
          detections: { label: string; score: number; box: { x: number; y: number; width: number; height: number } }[]
        }[]
        const wanted = said!.detections
          .filter((d) => d.score >= 0.4)
          .map(({ label, score, box }) => ({
            label,
            confidence: score,
            y_min: Math.round(box.y),
            x_min: Math.round(box.x),
            y_max: Math.round(box.y + box.height),
            x_max: Math.round(box.x + box.width),
          }))
        assert.ok(wanted.length > 0)
        const objects = ['deepstack object', ...(key ? [] : ['codeproject object', 'codeproject custom'])]
        for (const name of objects) {
          assert.equal(
            (told[name] as Prediction[]).filter((p) => p.confidence >= 0.4),
            wanted,
            name,
          )
        }
        for (const name of ['deepstack face', ...(key ? [] : ['codeproject face'])]) {
          assert.is((told[name] as Prediction[])[0]!.label, 'face', name)
        }
        assert.is(typeof told['deepstack scene'].confidence, 'number')
        assert.equal([told.live, told.ready, told['triton same']], [true, true, true])
        const model = await loadModel(join(root, `weights/${MODEL}.thimble`))
        const { shape, dtype } = model.inputs[0]!
        const values = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i % 100)
        const input = dtype === 'int8' ? Int8Array.from(values) : Uint8Array.from(values)
        const outputs = model.run([input]).map((o) => Array.from(o as ArrayLike<number>).slice(0, 16))
        assert.equal(told.triton, outputs)
        assert.ok(told.metrics.includes('thimble_requests_under_way'))
      } finally {
        server.stop()
      }
      await server.all
    },
  )
}

test.run()
