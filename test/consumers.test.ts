/**
 * The packed tarball, installed, in the tools that users build and run it with. Every row gives the answer that plain
 * Node gives: label and score of a photo, to the last digit. A tool's warning fails its row.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { serve } from '../tools/web.ts'
import { launchChromium, launchExtension } from './chromium.ts'
import { ENGINES } from './engines/engines.ts'
import { need, root, skip } from './util.ts'
import { built, esbuild } from './worker-host.ts'

const run = promisify(execFile)
const TOOLS = join(ENGINES, 'consumers')
const INSTALL = 'bash .ci/engines.sh consumers'
/** What a tool may take, on a busy machine. */
const LIMIT_MS = 120_000

const there = (file: string): string | undefined => (existsSync(file) ? file : undefined)
const tool = (path: string): string | undefined => there(join(TOOLS, 'node_modules', path))
/** A newer Node than the one that runs this, for tools that ask for it. */
const NODE24 = there(join(ENGINES, 'npm/node_modules/node24/bin/node'))
const BUN = tool('@oven/bun-linux-x64/bin/bun')
const DENO = tool('@deno/linux-x64-glibc/deno')
/** Two builds of half a minute: only where they are asked for. */
const NEXT = process.env.THIMBLE_NEXT ? tool('next/dist/bin/next') : undefined

const test = suite('consumers')
/** One project for all: the tools' node_modules above it, the package in its own. */
let project = ''
let expected = ''

const at = (...path: string[]): string => join(project, ...path)
const env = { ...process.env, CI: '1', NO_COLOR: '1', FORCE_COLOR: '0', NEXT_TELEMETRY_DISABLED: '1' }

/** Runs a program in the project and gives what it prints; what it prints as errors must be nothing. */
async function say(command: string, args: readonly string[], more: Record<string, string> = {}): Promise<string> {
  const { stdout, stderr } = await run(command, args, {
    cwd: project,
    env: { ...env, ...more },
    timeout: LIMIT_MS,
    maxBuffer: 2 ** 24,
  })
  assert.is(stderr.trim(), '', `${command} ${args.join(' ')}`)
  return stdout.trim()
}
const node = (...args: string[]): Promise<string> => say(process.execPath, args)

function copyData(folder: string): void {
  mkdirSync(at(folder), { recursive: true })
  const weights = at('node_modules/thimble/weights')
  cpSync(join(weights, 'mobilenet_v2_1.0_224.thimble'), at(folder, 'model.thimble'))
  cpSync(join(weights, 'samples/cat.jpg'), at(folder, 'cat.jpg'))
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

const filesOf = (folder: string): Map<string, Buffer> =>
  new Map(
    readdirSync(at(folder), { recursive: true, withFileTypes: true })
      .filter((e) => e.isFile())
      .map((e) => join(e.parentPath, e.name))
      .map((path) => [relative(at(folder), path), readFileSync(path)]),
  )

/** The title that the page of a folder comes to have in Chromium. */
async function title(folder: string): Promise<string> {
  copyData(folder)
  const server = await serve(filesOf(folder), 0)
  const browser = await launchChromium!()
  try {
    const page = await browser.newPage()
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`)
    return await settled(() => page.evaluate<string>('document.title'))
  } finally {
    await browser.close()
    server.close()
  }
}

/** The first text other than none and the dots that a page begins with. */
async function settled(ask: () => Promise<string>): Promise<string> {
  for (const end = Date.now() + LIMIT_MS; Date.now() < end;) {
    const text = await ask()
    if (text && text !== '…') return text
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('no answer in time')
}

async function bundle(entry: string, outfile: string, more: object): Promise<void> {
  const { warnings } = (await esbuild!.build({
    absWorkingDir: project,
    entryPoints: [entry],
    outfile,
    bundle: true,
    minify: true,
    logLevel: 'silent',
    ...more,
  })) as unknown as { warnings: { text: string }[] }
  assert.equal(
    warnings.map(({ text }) => text),
    [],
  )
}
/** The page of page/index.html in a folder with a bundle of it. */
function page(folder: string): Promise<string> {
  cpSync(at('page/index.html'), at(folder, 'index.html'))
  return title(folder)
}

test.before(async () => {
  if (!built) return
  mkdirSync(join(TOOLS, 'projects'), { recursive: true })
  project = mkdtempSync(join(TOOLS, 'projects/p-'))
  const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', project], {
    cwd: root,
    encoding: 'utf8',
  })
  mkdirSync(at('node_modules/thimble'), { recursive: true })
  execFileSync('tar', ['-xzf', at(packed.trim()), '-C', at('node_modules/thimble'), '--strip-components=1'])
  cpSync(join(root, 'test/consumers'), project, {
    recursive: true,
    filter: (path) => !/package(-lock)?\.json$/.test(path),
  })
  copyData('.')
  writeFileSync(at('package.json'), '{ "private": true, "type": "module" }')
  // What Next writes is CommonJS.
  writeFileSync(at('next/package.json'), '{ "private": true }')
  expected = await node('script/main.mjs')
})
test.after(() => {
  if (project) rmSync(project, { recursive: true, force: true })
})

interface Row {
  name: string
  /** Programs, tools and a browser: each must be there. */
  needs: readonly unknown[]
  /** Builds what there is to build, runs it, and gives the answer that it prints. */
  answer: () => Promise<string>
}

const SERVICE_WORKER = { platform: 'browser', format: 'iife' }
const ROWS: readonly Row[] = [
  {
    name: 'esbuild, for Node',
    needs: [esbuild],
    answer: async () => {
      await bundle('script/main.mjs', 'out/esbuild/main.mjs', { platform: 'node', format: 'esm' })
      return node('out/esbuild/main.mjs')
    },
  },
  {
    name: 'webpack, for Node',
    needs: [tool('webpack')],
    answer: async () => {
      assert.is(await node('webpack.mjs', 'node', 'script/main.mjs', 'out/webpack'), '')
      return node('out/webpack/main.mjs')
    },
  },
  {
    name: 'rollup, for Node',
    needs: [tool('rollup')],
    answer: async () => {
      assert.is(await node('rollup.mjs', 'node', 'script/main.mjs', 'out/rollup'), '')
      return node('out/rollup/main.mjs')
    },
  },
  { name: 'Bun', needs: [BUN], answer: () => say(BUN!, ['run', 'script/main.mjs']) },
  {
    name: 'Deno',
    needs: [DENO],
    answer: () => say(DENO!, ['run', '--allow-read', '--allow-env', '--node-modules-dir=manual', 'script/main.mjs']),
  },
  {
    name: 'Jest',
    needs: [tool('jest')],
    answer: async () => {
      const out = await run(
        process.execPath,
        [tool('jest/bin/jest.js')!, '--rootDir', at('script'), '--ci', '--json', '--testMatch', '**/jest.test.cjs'],
        {
          cwd: project,
          env: { ...env, ANSWER: expected },
          timeout: LIMIT_MS,
        },
      )
      const { numPassedTests, numTotalTests } = JSON.parse(out.stdout) as Record<string, number>
      assert.equal([numPassedTests, numTotalTests], [1, 1], out.stderr)
      return expected
    },
  },
  {
    name: 'Vitest',
    needs: [tool('vitest'), NODE24],
    answer: async () => {
      const args = [tool('vitest/vitest.mjs')!, 'run', 'vitest.test.js', '--root', at('script')]
      assert.match(await say(NODE24!, args, { ANSWER: expected }), /Tests +1 passed \(1\)/)
      return expected
    },
  },
  {
    name: 'esbuild, a page',
    needs: [esbuild, launchChromium],
    answer: async () => {
      await bundle('page/main.js', 'out/esbuild-page/main.js', { platform: 'browser', format: 'esm' })
      return page('out/esbuild-page')
    },
  },
  {
    name: 'webpack, a page',
    needs: [tool('webpack'), launchChromium],
    answer: async () => {
      assert.is(await node('webpack.mjs', 'web', 'page/main.js', 'out/webpack-page'), '')
      return page('out/webpack-page')
    },
  },
  {
    name: 'rollup, a page',
    needs: [tool('rollup'), launchChromium],
    answer: async () => {
      assert.is(await node('rollup.mjs', 'web', 'page/main.js', 'out/rollup-page'), '')
      return page('out/rollup-page')
    },
  },
  {
    name: 'Vite, a page',
    needs: [tool('vite'), NODE24, launchChromium],
    answer: async () => {
      const args = [
        'build',
        at('page'),
        '--outDir',
        at('out/vite'),
        '--emptyOutDir',
        '--logLevel',
        'warn',
        '--base',
        './',
      ]
      assert.is(await say(NODE24!, [tool('vite/bin/vite.js')!, ...args]), '')
      return title('out/vite')
    },
  },
  {
    name: 'Parcel, a page',
    needs: [tool('parcel'), launchChromium],
    answer: async () => {
      const args = ['build', 'page/index.html', '--dist-dir', 'out/parcel', '--public-url', './']
      const quiet = ['--log-level', 'warn', '--no-cache', '--no-source-maps']
      assert.is(await node(tool('parcel/lib/bin.js')!, ...args, ...quiet), '')
      return title('out/parcel')
    },
  },
  {
    name: 'a service worker',
    needs: [esbuild, launchChromium],
    answer: async () => {
      await bundle('worker/sw.js', 'out/worker/sw.js', SERVICE_WORKER)
      cpSync(at('worker/index.html'), at('out/worker/index.html'))
      return title('out/worker')
    },
  },
  {
    name: 'the background of a Manifest V3 extension',
    needs: [esbuild, launchExtension],
    answer: async () => {
      await bundle('extension/background.js', 'out/extension/background.js', SERVICE_WORKER)
      cpSync(at('extension/manifest.json'), at('out/extension/manifest.json'))
      copyData('out/extension')
      const { background, close } = await launchExtension!(at('out/extension'))
      try {
        return await background.evaluate<string>('answer()')
      } finally {
        await close()
      }
    },
  },
  ...(['turbopack', 'webpack'] as const).map((bundler) => ({
    name: `Next with ${bundler}: a page, an API route${bundler === 'turbopack' ? ', an edge route' : ''}, standalone`,
    needs: [NEXT, NODE24, launchChromium],
    answer: () => next(bundler),
  })),
]

/** Builds the app, starts what `output: 'standalone'` made, and asks its routes and its page. */
async function next(bundler: 'webpack' | 'turbopack'): Promise<string> {
  copyData('next/public')
  rmSync(at('next/.next'), { recursive: true, force: true })
  // With webpack, Next 16.4 builds no edge route, not even an empty one (route_client-reference-manifest.js is
  // missing).
  const edge = bundler === 'turbopack'
  if (!edge) rmSync(at('next/app/api/edge'), { recursive: true })
  const built = await run(NODE24!, [NEXT!, 'build', `--${bundler}`, at('next')], {
    cwd: project,
    env,
    timeout: LIMIT_MS,
  })
  assert.not.match(built.stdout + built.stderr, /thimble|Critical dependency|Failed/i)
  const made = at('next/.next/standalone', relative(TOOLS, at('next')))
  cpSync(at('next/public'), join(made, 'public'), { recursive: true })
  cpSync(at('next/.next/static'), join(made, '.next/static'), { recursive: true })
  const port = await freePort()
  const server = spawn(NODE24!, ['server.js'], {
    cwd: made,
    env: { ...env, PORT: String(port), HOSTNAME: '127.0.0.1' },
    stdio: 'pipe',
  })
  let said = ''
  for (const stream of [server.stdout, server.stderr]) stream.on('data', (chunk) => (said += chunk))
  const url = `http://127.0.0.1:${port}`
  const browser = await launchChromium!()
  try {
    await settled(() => fetch(url).then(String, () => ''))
    if (edge) {
      const answer = await (await fetch(`${url}/api/edge`)).json()
      assert.equal(answer, { known: true, code: 'format/not-a-model' })
    }
    assert.is(await (await fetch(`${url}/api/answer`)).text(), expected)
    const tab = await browser.newPage()
    await tab.goto(url)
    return await settled(() => tab.evaluate<string>('document.querySelector("output").textContent'))
  } catch (error) {
    throw new Error(`${String(error)}; the server said: ${said}`, { cause: error })
  } finally {
    await browser.close()
    server.kill()
  }
}

const asked = process.env.THIMBLE_CONSUMER
for (const { name, needs, answer } of ROWS) {
  if (asked && !name.includes(asked)) continue
  const ready = (built && needs.every((n) => n !== undefined)) || undefined
  const how = name.startsWith('Next') ? `THIMBLE_NEXT=1 after ${INSTALL} (a minute each)` : INSTALL
  need(test, name, { resource: ready, missing: how }, async () => {
    assert.is(await answer(), expected)
  })
}
skip(
  'Electron',
  'its program comes from GitHub, no registry has it: node_modules/.bin/electron is to run these rows then',
)

test.run()
