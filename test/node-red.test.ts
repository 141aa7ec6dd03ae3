/**
 * examples/node-red in a real Node-RED without a head: a flow that answers over HTTP, its errors, and the palette's
 * entry.
 */
import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeImage } from '../src/image/decode.ts'
import { createClassifier, loadModel } from '../src/node.ts'
import { createDetector, createFaceFinder } from '../src/vision.ts'
import { ENGINES } from './engines/engines.ts'
import { need, root } from './util.ts'

const test = suite('node-red')
const dir = mkdtempSync(join(tmpdir(), 'thimble-node-red-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

const NODE_RED = join(ENGINES, 'node-red/node_modules/node-red/red.js')
const EXAMPLE = join(root, 'examples/node-red')
const PHOTO = join(root, 'weights/samples/astronaut.jpg')
const SSD = 'ssdlite_mobilenet_v2_coco_300'

/** A flow that answers POST /PATH with what the node says, its errors as 500. */
const flow = (path: string, settings: object): object[] => [
  { id: `${path}-in`, type: 'http in', z: 'tab', url: `/${path}`, method: 'post', wires: [[`${path}-look`]] },
  { id: `${path}-look`, type: 'thimble', z: 'tab', ...settings, wires: [[`${path}-out`]] },
  { id: `${path}-out`, type: 'http response', z: 'tab', wires: [] },
  { id: `${path}-catch`, type: 'catch', z: 'tab', scope: [`${path}-look`], wires: [[`${path}-500`]] },
  {
    id: `${path}-500`,
    type: 'function',
    z: 'tab',
    func: 'msg.statusCode = 500; msg.payload = { error: msg.error.message }; return msg',
    outputs: 1,
    wires: [[`${path}-out`]],
  },
]

/** A folder of flows in which the node and thimble are installed. */
function userFolder(): string {
  const modules = join(dir, 'node_modules')
  mkdirSync(modules)
  cpSync(EXAMPLE, join(modules, 'node-red-contrib-thimble'), { recursive: true })
  symlinkSync(root, join(modules, 'thimble'))
  symlinkSync(join(root, 'weights'), join(modules, 'thimble-models'))
  writeFileSync(
    join(dir, 'package.json'),
    JSON.stringify({
      private: true,
      dependencies: { 'node-red-contrib-thimble': '*', thimble: '*', 'thimble-models': '*' },
    }),
  )
  writeFileSync(
    join(dir, 'settings.js'),
    "module.exports = { uiHost: '127.0.0.1', httpAdminRoot: '/admin', telemetry: { enabled: false } }",
  )
  const nodes = [
    { id: 'tab', type: 'tab', label: 'test' },
    ...flow('detect', { task: 'detect', model: SSD, threshold: '0.4' }),
    ...flow('coco', { task: 'detect', threshold: '0.4', shape: 'coco-ssd' }),
    ...flow('faces', { task: 'faces' }),
    ...flow('classify', { task: 'classify', top: '3' }),
    ...flow('missing', { task: 'pose', model: 'no-such-model' }),
  ]
  writeFileSync(join(dir, 'flows.json'), JSON.stringify(nodes))
  return dir
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

test('the package says what Node-RED must load, and the flow to import is made of known nodes', () => {
  const about = JSON.parse(readFileSync(join(EXAMPLE, 'package.json'), 'utf8')) as {
    files: string[]
    'node-red': { nodes: Record<string, string> }
  }
  for (const file of [...about.files, ...Object.values(about['node-red'].nodes)]) {
    assert.ok(existsSync(join(EXAMPLE, file)), file)
  }
  const nodes = JSON.parse(readFileSync(join(EXAMPLE, 'examples/person-at-the-door.json'), 'utf8')) as {
    id: string
    type: string
    wires?: string[][]
  }[]
  const ids = nodes.map(({ id }) => id)
  for (const { wires = [] } of nodes) for (const id of wires.flat()) assert.ok(ids.includes(id), id)
  assert.ok(nodes.some(({ type }) => type === 'thimble'))
})

interface Answer {
  status: number
  body: any
}

interface NodeRed {
  address: string
  /** What it wrote so far. */
  out(): string
  ask(path: string, body: Uint8Array, type?: string): Promise<Answer>
  end(): Promise<void>
}

/** Node-RED with the flows of `userFolder`. */
async function startNodeRed(): Promise<NodeRed> {
  const address = `http://127.0.0.1:${await freePort()}`
  const cwd = userFolder()
  const { port } = new URL(address)
  const args = [NODE_RED, '--userDir', cwd, '--settings', join(cwd, 'settings.js'), '--port', port, 'flows.json']
  const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  child.stdout.on('data', (chunk) => (out += String(chunk)))
  child.stderr.on('data', (chunk) => (out += String(chunk)))
  const ended = new Promise((resolve) => child.on('close', resolve))
  const end = async (): Promise<void> => {
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), 10_000)
    await ended
    clearTimeout(late)
  }
  const last = Date.now() + 90_000
  while (!/Started flows/.test(out)) {
    if (Date.now() > last || child.exitCode !== null) {
      await end()
      throw new Error(`Node-RED did not start: ${out}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  return {
    address,
    out: () => out,
    end,
    async ask(path, body, type = 'application/octet-stream') {
      const response = await fetch(`${address}/${path}`, {
        method: 'POST',
        headers: { 'content-type': type },
        body: body as Uint8Array<ArrayBuffer>,
        signal: AbortSignal.timeout(60_000),
      })
      return { status: response.status, body: JSON.parse(await response.text()) }
    },
  }
}

/** A value as it comes out of JSON. */
const sent = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

need(
  test,
  'a flow in Node-RED answers as the API does, errors go to its catch node',
  {
    resource: (existsSync(NODE_RED) && existsSync(join(root, 'dist/node.js'))) || undefined,
    missing: 'Node-RED is not installed (.ci/engines.sh node-red), or dist/ is not built',
  },
  async () => {
    const { address, ask, end, out } = await startNodeRed()
    try {
      assert.not.match(out(), /missing node|error loading|Waiting for missing types/i)
      const photo = readFileSync(PHOTO)
      const image = decodeImage(photo)
      const weights = (name: string): string => join(root, `weights/${name}.thimble`)

      using model = await loadModel(weights(SSD))
      const things = (await createDetector(model, { scoreThreshold: 0.4 })).detect(image)
      assert.ok(things.length > 0)
      const detected = await ask('detect', photo)
      assert.is(detected.status, 200, JSON.stringify(detected.body))
      assert.equal(detected.body, sent(things))
      const coco = await ask('coco', photo)
      assert.equal(
        coco.body,
        sent(things.map(({ label, score, box: b }) => ({ class: label, score, bbox: [b.x, b.y, b.width, b.height] }))),
      )

      using detector = await loadModel(weights('face_detector_tiny_416'))
      const faces = (await createFaceFinder({ detector })).find(image)
      assert.is(faces.length, 1)
      assert.equal((await ask('faces', photo)).body, sent(faces))

      using classes = await loadModel(weights('mobilenet_v2_1.0_224'))
      const predictions = (await createClassifier(classes)).classify(photo, { topK: 3 })
      assert.equal((await ask('classify', photo)).body, sent(predictions))

      // Errors: a damaged picture, no picture, no model; what comes after is answered.
      const broken = await ask('classify', photo.subarray(0, 200))
      assert.is(broken.status, 500)
      assert.match(broken.body.error, /image\/(truncated|corrupt)/)
      const json = await ask('classify', Buffer.from('{"a":1}'), 'application/json')
      assert.match(json.body.error, /msg\.payload is no picture/)
      assert.match((await ask('missing', photo)).body.error, /no model is called no-such-model/)
      const [first, second] = await Promise.all([ask('classify', photo), ask('classify', photo)])
      assert.equal(first, second)
      assert.equal(first.body, sent(predictions))
      const inline = await ask(
        'classify',
        Buffer.from(`data:image/jpeg;base64,${photo.toString('base64')}`),
        'text/plain',
      )
      assert.equal(inline.body, first.body)

      const palette = await fetch(`${address}/admin/nodes`, { headers: { accept: 'application/json' } })
      const entries = (await palette.json()) as { types: string[]; enabled: boolean; err?: string }[]
      const own = entries.find(({ types }) => types.includes('thimble'))
      assert.ok(own?.enabled && own.err === undefined, JSON.stringify(own))
    } finally {
      await end()
    }
  },
)

test.run()
