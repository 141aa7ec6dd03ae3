/** examples/bullmq with a real Redis: a worker that is killed, a Redis that goes and comes back, a list added twice. */
import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { encode } from 'jpeg-js'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createClassifier, loadModel } from '../src/node.ts'
import { ENGINES } from './engines/engines.ts'
import { need, rng, root } from './util.ts'

const test = suite('bullmq')
const dir = mkdtempSync(join(tmpdir(), 'thimble-bullmq-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

const REDIS = '/usr/bin/redis-server'
const MODULES = join(ENGINES, 'npm/node_modules')
const MODEL = join(root, 'weights/mobilenet_v2_1.0_160.thimble')
const TSX = pathToFileURL(join(root, 'node_modules/tsx/dist/loader.mjs')).href
const PHOTOS = 150

/** The example's folder, copied out of the project, with its packages. */
function project(): string {
  const to = join(dir, 'project')
  cpSync(join(root, 'examples/bullmq'), to, { recursive: true })
  mkdirSync(join(to, 'node_modules'))
  for (const name of ['bullmq', 'ioredis', 'cli-progress']) {
    symlinkSync(join(MODULES, name), join(to, 'node_modules', name))
  }
  symlinkSync(root, join(to, 'node_modules/thimble'))
  return to
}

function photo(seed: number): Uint8Array {
  const r = rng(seed)
  const data = Buffer.from(Array.from({ length: 32 * 32 * 4 }, () => r.int(256)))
  return new Uint8Array(encode({ data, width: 32, height: 32 }, 90).data)
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

interface Started {
  child: ChildProcess
  ended: Promise<number | null>
  out(): string
}

function started(command: string, args: string[], more: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): Started {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...more })
  let out = ''
  child.stdout.on('data', (chunk) => (out += String(chunk)))
  child.stderr.on('data', (chunk) => (out += String(chunk)))
  return { child, ended: new Promise((resolve) => child.on('close', resolve)), out: () => out }
}

async function until(what: string, holds: () => boolean | Promise<boolean>, told: () => string): Promise<void> {
  const end = Date.now() + 60_000
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`waited 60 s for ${what}: ${told()}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

need(
  test,
  'every photo has one result, whoever is killed',
  {
    resource:
      (existsSync(REDIS) && existsSync(join(MODULES, 'bullmq')) && existsSync(join(root, 'dist/node.js'))) || undefined,
    missing: 'redis-server or bullmq is not installed; .ci/engines.sh system node installs them',
  },
  async () => {
    const cwd = project()
    const photos = join(dir, 'photos')
    mkdirSync(photos)
    const names = Array.from({ length: PHOTOS }, (_, i) => `p${String(i).padStart(3, '0')}.jpg`)
    names.forEach((name, i) => writeFileSync(join(photos, name), i === 70 ? new Uint8Array(100) : photo(i)))
    const port = await freePort()
    const redis = (): Started =>
      started(REDIS, ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'yes', '--dir', dir])
    const env = { ...process.env, REDIS_URL: `redis://127.0.0.1:${port}` }
    const node = (script: string, ...args: string[]): Started =>
      started(process.execPath, ['--import', TSX, `src/${script}.ts`, ...args], { cwd, env })
    const results = async (): Promise<Started & { code: number | null }> => {
      const asked = node('results')
      return { ...asked, code: await asked.ended }
    }
    let server = redis()
    const workers: Started[] = []
    const work = (): Started => {
      const worker = node('work', '--lock-seconds', '2')
      workers.push(worker)
      return worker
    }
    try {
      await until('Redis', () => /ready to accept/i.test(server.out()), server.out)
      for (let twice = 0; twice < 2; twice++) {
        const adding = node('add', photos, '--model', MODEL, '--top', '2')
        assert.is(await adding.ended, 0, adding.out())
        assert.match(adding.out(), /150 photos in run default/)
      }
      const first = work()
      await until('a worker', () => /is ready/.test(first.out()), first.out)
      first.child.kill('SIGKILL')
      const second = work()
      await until('a worker', () => /is ready/.test(second.out()), second.out)
      server.child.kill('SIGKILL')
      await server.ended
      server = redis()
      const third = work()
      await until(
        'all results',
        async () => (await results()).code === 0,
        () => second.out() + third.out(),
      )
      const asked = await results()
      const lines = asked
        .out()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { source: string; error?: string; predictions?: unknown })
      assert.equal(
        lines.map((l) => l.source),
        names.map((name) => join(photos, name)),
      )
      assert.match(lines[70]!.error!, /image\//)
      const classifier = await createClassifier(await loadModel(MODEL), { topK: 2 })
      for (const i of [0, 1, 69, 71, PHOTOS - 1]) {
        assert.equal(lines[i]!.predictions, classifier.classify(readFileSync(join(photos, names[i]!))))
      }
      assert.is(lines.filter((l) => l.predictions).length, PHOTOS - 1)
      third.child.kill('SIGTERM')
      assert.is(await third.ended, 0, third.out())
    } finally {
      for (const { child } of [...workers, server]) child.kill('SIGKILL')
    }
  },
)

test.run()
