/**
 * examples/bundler with esbuild and Vite, run in Chromium; entry points by condition; what is left out, what is
 * downloaded.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { createRequire } from 'node:module'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { moduleGraph } from '../src/serve/site.ts'
import { serve } from '../tools/web.ts'
import { launchChromium } from './chromium.ts'
import { ENGINES } from './engines/engines.ts'
import { need, root } from './util.ts'
import { built, esbuild } from './worker-host.ts'

/** Vite's command, where it is installed. */
function viteCommand(): string | undefined {
  try {
    const manifest = createRequire(join(ENGINES, 'npm/')).resolve('vite/package.json')
    return join(manifest, '../bin/vite.js')
  } catch {
    return undefined
  }
}
const vite = viteCommand()

/** The example in a folder of its own, with the package in its node_modules and the model in public/. */
function example(): string {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-'))
  cpSync(join(root, 'examples/bundler'), folder, {
    recursive: true,
    filter: (path) => !/node_modules|\/dist\b|\/public\b/.test(path.slice(root.length)),
  })
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules/thimble'), 'dir')
  mkdirSync(join(folder, 'public'))
  cpSync(join(root, 'weights/mobilenet_v2_1.0_224.thimble'), join(folder, 'public/mobilenet_v2_1.0_224.thimble'))
  return folder
}

const filesOf = (folder: string): Map<string, Buffer> =>
  new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((e) => e.isFile())
      .map((e) => {
        const path = join(e.parentPath, e.name)
        return [relative(folder, path), readFileSync(path)]
      }),
  )

/** The page's answer for the cat, from real Chromium. */
async function run(files: Map<string, Buffer>): Promise<string> {
  const server = await serve(files, 0)
  const browser = await launchChromium!()
  try {
    const page = await browser.newPage()
    const errors: string[] = []
    page.on('pageerror', ({ message }) => errors.push(message))
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`)
    const end = Date.now() + 30_000
    const until = async (expression: string): Promise<void> => {
      while (!(await page.evaluate(expression))) {
        if (errors.length || Date.now() > end) throw new Error(errors.join('; ') || `never true: ${expression}`)
        await new Promise((resolve) => setTimeout(resolve, 30))
      }
    }
    await until('typeof document.querySelector("input").onchange === "function"')
    await page.setInputFiles('input', join(root, 'weights/samples/cat.jpg'))
    await until('document.querySelector("output").textContent')
    return await page.evaluate<string>('document.querySelector("output").textContent')
  } finally {
    await browser.close()
    server.close()
  }
}

/** Most that a page downloads to classify a photo, gzip, without the model: Thimble's own promise. */
const MOST_GZIP = 80_000

/** The files that are asked for, while `body` runs. */
async function asked(
  files: Map<string, Buffer>,
  body: (files: Map<string, Buffer>) => Promise<void>,
): Promise<string[]> {
  const names = new Set<string>()
  class Recording extends Map<string, Buffer> {
    override get(name: string): Buffer | undefined {
      names.add(name)
      return super.get(name)
    }
  }
  await body(new Recording(files))
  return [...names]
}

/** Runs the page, and counts the scripts that it loaded, with the wasm in them. */
async function runCounted(name: string, files: Map<string, Buffer>): Promise<void> {
  const loaded = await asked(files, async (recorded) => {
    assert.match(await run(recorded), /^(Egyptian cat|tabby|tiger cat), \d+ %$/)
  })
  const scripts = loaded.filter((path) => path.endsWith('.js')).map((path) => files.get(path)!)
  const sum = (size: (b: Buffer) => number): number => scripts.reduce((n, b) => n + size(b), 0)
  const gzip = sum((b) => gzipSync(b, { level: 9 }).length)
  console.log(`${name}: a page that reads photos downloads ${sum((b) => b.length)} bytes of script, ${gzip} gzip`)
  assert.ok(gzip > 20_000 && gzip <= MOST_GZIP, `${gzip} bytes`)
}

const test = suite('bundler')
const ready = built && launchChromium

need(
  test,
  'esbuild: the five-line app builds and runs',
  { resource: ready && esbuild, missing: 'needs dist/, esbuild, playwright-core and Chromium' },
  async () => {
    const folder = example()
    try {
      await esbuild!.build({
        absWorkingDir: folder,
        entryPoints: ['src/main.js'],
        bundle: true,
        minify: true,
        splitting: true,
        format: 'esm',
        target: 'es2022',
        outdir: 'dist/src',
        logLevel: 'error',
        preserveSymlinks: true,
      })
      const files = filesOf(join(folder, 'dist'))
      for (const [path, bytes] of filesOf(join(folder, 'public'))) files.set(path, bytes)
      files.set('index.html', readFileSync(join(folder, 'index.html')))
      await runCounted('esbuild', files)
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)

need(
  test,
  'Vite: the five-line app builds and runs',
  { resource: ready && vite, missing: 'needs dist/, vite, playwright-core and Chromium' },
  async () => {
    const folder = example()
    try {
      execFileSync(process.execPath, [vite!, 'build', '--logLevel', 'warn'], { cwd: folder, stdio: 'pipe' })
      const files = filesOf(join(folder, 'dist'))
      await runCounted('Vite', files)
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)

need(
  test,
  'conditions: browser, workerd and node get their own entry point',
  { resource: built && esbuild ? esbuild : undefined, missing: 'needs dist/ and esbuild' },
  async () => {
    const folder = example()
    try {
      const bundled = async (conditions: string[], platform: string): Promise<{ inputs: string[]; text: string }> => {
        const result = (await esbuild!.build({
          absWorkingDir: folder,
          stdin: { contents: 'export * from "thimble"', resolveDir: folder },
          bundle: true,
          format: 'esm',
          platform,
          conditions,
          write: false,
          metafile: true,
          logLevel: 'error',
          outdir: 'out',
        })) as unknown as {
          outputFiles: { text: string }[]
          metafile: { outputs: Record<string, { inputs: Record<string, { bytesInOutput: number }> }> }
        }
        return {
          inputs: Object.values(result.metafile.outputs).flatMap(({ inputs }) =>
            Object.keys(inputs).filter((path) => inputs[path]!.bytesInOutput > 0),
          ),
          text: result.outputFiles.map(({ text }) => text).join('\n'),
        }
      }
      const entry = ({ inputs }: { inputs: string[] }): string[] =>
        ['browser.js', 'workerd.js', 'node.js'].filter((name) => inputs.some((path) => path.endsWith(`dist/${name}`)))
      const browser = await bundled(['browser'], 'browser')
      const worker = await bundled(['workerd', 'browser'], 'browser')
      assert.equal(entry(browser), ['browser.js'])
      assert.equal(entry(worker), ['workerd.js'])
      assert.equal(entry(await bundled([], 'neutral')), ['browser.js'])
      assert.equal(entry(await bundled([], 'node')), ['node.js'])
      // A Worker gets no compiler and no runtime of its own: its modules hold them.
      for (const part of [/function (lower|readTflite|compileModel|planArena)\b/, /"[\w+/]{5000}/]) {
        assert.match(browser.text, part)
        assert.not.match(worker.text, part)
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)

need(
  test,
  'what is not used is left out',
  { resource: built && esbuild ? esbuild : undefined, missing: 'needs dist/ and esbuild' },
  async () => {
    const folder = example()
    try {
      const size = async (contents: string): Promise<number> => {
        const { outputFiles } = await esbuild!.build({
          absWorkingDir: folder,
          stdin: { contents, resolveDir: folder },
          bundle: true,
          minify: true,
          format: 'esm',
          write: false,
          logLevel: 'error',
        })
        return outputFiles[0]!.contents.length
      }
      assert.is(await size('import "thimble"'), 0)
      const error = await size('export { ThimbleError } from "thimble"')
      assert.ok(error < 2000, `ThimbleError alone takes ${error} bytes`)
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)

need(
  test,
  'the browser entry reaches one decoder, no Node module, no package',
  { resource: built || undefined, missing: 'dist/ is not built' },
  () => {
    const modules: string[] = []
    for (const file of moduleGraph(join(root, 'dist'), 'browser.js')) {
      const text = readFileSync(join(root, 'dist', file), 'utf8')
      assert.not.match(text, /(from|import\()\s*["'](node:|[a-z@])/, file)
      modules.push(...Array.from(text.matchAll(/^\/\/ src\/(.*)$/gm), ([, module]) => module!))
    }
    assert.ok(modules.includes('plan/compile.ts') && modules.includes('generated/scalar.ts'), modules.join())
    assert.equal(
      modules.filter((module) => /image\/decode|cli|convert|quantize|pack\//.test(module)),
      [],
    )
  },
)

need(
  test,
  'the package loads from three files in Node, which its other entry points share',
  { resource: built || undefined, missing: 'dist/ is not built' },
  () => {
    const imports = (file: string): string[] =>
      Array.from(
        readFileSync(join(root, 'dist', file), 'utf8').matchAll(/^(?:import|export) (?:[^;]*? from )?"(\..*?)";$/gm),
        ([, target]) => target!.replace(/^(\.\.?\/)*/, ''),
      )
    const own = imports('node.js')
    assert.is(own.length, 2, 'the core, and the loader with its runtime that the commands have too')
    const [core, ...none] = own.filter((file) => imports('browser.js').includes(file))
    assert.equal(none, [])
    assert.match(core!, /^chunks\/chunk-\w+\.js$/)
    for (const file of own) {
      assert.equal(
        imports(file).filter((path) => path !== core!.replace('chunks/', '')),
        [],
      )
    }
    assert.equal(imports(core!), [])
    for (const entry of ['browser.js', 'workerd.js', 'vision.js']) {
      assert.ok(imports(entry).includes(core!), entry)
    }
  },
)

need(
  test,
  'importing the package runs nothing',
  { resource: built || undefined, missing: 'dist/ is not built' },
  () => {
    // Every engine feature that a side effect would touch is missing while the entry points load.
    const script = `for (const name of ['fetch', 'Worker', 'WebAssembly', 'document', 'crypto']) Object.defineProperty(globalThis, name, { get() { throw new Error('touched ' + name) }, configurable: true })
    await import(${JSON.stringify(pathToFileURL(join(root, 'dist/browser.js')).href)}); await import(${JSON.stringify(pathToFileURL(join(root, 'dist/workerd.js')).href)}); console.log('quiet')`
    assert.is(
      execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).trim(),
      'quiet',
    )
  },
)

test.run()
