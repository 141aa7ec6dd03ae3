/**
 * Bundles src/ into dist/: few files, because every file that an engine has to find, open and link delays the start.
 *
 *   dist/<entry>.js         what package.json names: an entry point and what it alone needs
 *   dist/chunks/chunk-*.js  what several need; the core, that is all that every `import 'thimble'` needs, is one of
 *   them dist/chunks/*.js        what is loaded on demand: runtime variants, image decoding, the commands
 *   dist/threads/worker.js  a script of its own
 *   dist/cjs/*.cjs          the same for `require`: one file, and one a name that shows its part
 *
 * Names stay and nothing is minified but the file for `require`, which holds all once more: esbuild drops the marks of
 * pure calls with the white space, and declarations that it merges are kept or left out together. Bundlers of users
 * find literal `import()` and `new URL(…, import.meta.url)` as in src/, which is why everything but the entry points
 * lies one folder deep.
 */
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { build, type BuildOptions, type Metafile, type Plugin } from 'esbuild'
import { markPure } from './pure.ts'

const ENTRIES = [
  'node',
  'browser',
  'workerd',
  'cli',
  'cli/photo-worker',
  'cli/answer-worker',
  'vision',
  'serve',
  'quantize',
].map((name) => `src/${name}.ts`)

/** Loaded for a file that holds no program; and what makes whoever imports it one of the compiler's users. */
const COMPILER = 'src/engine/load-graph.ts'
const GRAPHS =
  /^src\/(formats\/(index|tflite|tflite-write|packed|packed-write)|fold\/index|plan\/(compile|record)|convert\/.*)\.ts$/
const CLASSIFIER = 'src/classify/classifier.ts'
/** Small parts of the compiler that others need too: the core has them. */
const SMALL = ['graph/float-model', 'image/defaults', 'image/geometry', 'base/round'].map((name) => `src/${name}.ts`)

const options = (root: string) =>
  ({
    absWorkingDir: root,
    outdir: 'dist',
    outbase: 'src',
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    platform: 'neutral',
    chunkNames: 'chunks/[name]-[hash]',
    // Built into node: everything else that is imported, fflate alone, becomes part of dist/.
    external: ['node:*'],
    legalComments: 'none',
    logLevel: 'warning',
    logOverride: { 'ignored-bare-import': 'silent' },
    write: false,
    metafile: true,
  }) as const satisfies BuildOptions

/** Node's entry point has the runtime that nearly always runs in itself; a page fetches the one that it needs. */
const embedRuntime: Plugin = {
  name: 'embed runtime',
  setup(build) {
    build.onResolve({ filter: /\/generated\/simd-core-raw\.ts$/ }, ({ path, importer, kind }) =>
      kind === 'import-statement' ? { path: resolve(dirname(importer), path), suffix: '?embedded' } : undefined,
    )
  },
}

/** The modules that `entry` reaches by static imports, itself left out. */
function staticImports(entry: string, { inputs }: Metafile): Set<string> {
  const found = new Set<string>()
  const visit = (path: string): void =>
    inputs[path]!.imports.forEach((i) => {
      if (i.external || i.kind !== 'import-statement' || found.has(i.path)) return
      found.add(i.path)
      visit(i.path)
    })
  visit(entry)
  return found
}

/** Modules that are to be one chunk, and the entry points that need some of them. */
interface Group {
  modules: string[]
  importers: Set<string>
}

/**
 * What happens to sources on the way. esbuild makes a chunk for each set of entry points that share modules, dozens of
 * small ones here, and Node needs a millisecond to find and open each: where every entry point that needs a part of a
 * group imports all of it, the group is one chunk.
 */
const prepared = (root: string, groups: readonly Group[] = []): Plugin => ({
  name: 'prepared',
  setup(build) {
    build.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
      const source = markPure(path, await readFile(path, 'utf8'))
      const whole = groups
        .filter(({ importers }) => importers.has(relative(root, path)))
        .flatMap(({ modules }) => modules)
      const imports = whole.map((module) => `\nimport ${JSON.stringify(join(root, module))}`)
      return { contents: source + imports.join(''), loader: 'ts' }
    })
  },
})

/**
 * The core, that is what every `import 'thimble'` needs; the compiler, which nobody loads in parts; and classifiers,
 * which pages import and Node loads on demand.
 */
function groupsOf(metafile: Metafile): Group[] {
  const onDemand = Object.values(metafile.inputs).flatMap(({ imports }) =>
    imports.filter((i) => i.kind === 'dynamic-import' && !i.external).map((i) => i.path),
  )
  const reached = new Map([...new Set([...ENTRIES, ...onDemand])].map((path) => [path, staticImports(path, metafile)]))
  const [node, page, compiling] = ['src/node.ts', 'src/browser.ts', COMPILER].map((path) => [...reached.get(path)!])
  const core = [...node!.filter((path) => page!.includes(path)), ...SMALL]
  const light = [...reached].map(([path, found]) => [path, ...found]).filter((all) => !all.some((m) => GRAPHS.test(m)))
  const compiler = [COMPILER, ...compiling!].filter(
    (path) => !core.includes(path) && !light.some((all) => all.includes(path)),
  )
  const classifier = [CLASSIFIER, ...reached.get(CLASSIFIER)!].filter((path) => !core.includes(path))
  return [core, compiler, classifier].map((modules) => {
    const importers = [...reached].filter(([, found]) => modules.some((path) => found.has(path)))
    return { modules, importers: new Set(importers.map(([path]) => path)) }
  })
}

/** Every file that a module of dist/ finds beside itself is there. */
function checkUrls(path: string, text: string, written: Set<string>): void {
  for (const [, url] of text.matchAll(/new URL\(["'`]([^"'`$]+)["'`], import\.meta\.url\)/g)) {
    const target = resolve(dirname(path), url!)
    if (!written.has(target) && !existsSync(target)) throw new Error(`${path} refers to ${url}, which is not there`)
  }
}

/**
 * Escapes what is left beyond ASCII (esbuild leaves comments as they are): engines keep a script with one such
 * character in two bytes each.
 */
const ascii = (text: string): string =>
  text.replace(/[^\0-\x7f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** Entry points that `require` knows. */
const REQUIRED = ['node', 'vision']

/** For tools that load CommonJS: one file, so that what several names share is there once. */
async function commonJs(root: string): Promise<{ path: string; text: string }[]> {
  const contents = REQUIRED.map((name) => `export * as ${name} from './src/${name}.ts'`).join('\n')
  const { outputFiles } = await build({
    ...options(root),
    splitting: false,
    minify: true,
    format: 'cjs',
    platform: 'node',
    stdin: { contents, resolveDir: root },
    outdir: 'dist/cjs',
    banner: { js: "const moduleUrl = require('node:url').pathToFileURL(__filename).href" },
    define: { 'import.meta.url': 'moduleUrl' },
    plugins: [prepared(root)],
  })
  const shown = REQUIRED.map((name) => ({
    path: join(root, `dist/cjs/${name}.cjs`),
    text: `'use strict'\nmodule.exports = require('./all.cjs').${name}\n`,
  }))
  return [{ path: join(root, 'dist/cjs/all.cjs'), text: outputFiles[0]!.text }, ...shown]
}

/** Names of the packages whose code becomes part of dist/. */
export async function bundledPackages(root: string): Promise<string[]> {
  const entryPoints = [...ENTRIES, 'src/threads/worker.ts']
  const { metafile } = await build({ ...options(root), entryPoints, plugins: [embedRuntime] })
  const used = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs))
  const names = used.flatMap((path) => /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [])
  return [...new Set(names)].sort()
}

/** Writes the scripts of dist/. */
export async function bundle(root: string): Promise<void> {
  const common = options(root)
  const { metafile } = await build({ ...common, entryPoints: ENTRIES, plugins: [embedRuntime] })
  const [main, worker, required] = await Promise.all([
    build({ ...common, entryPoints: ENTRIES, plugins: [embedRuntime, prepared(root, groupsOf(metafile))] }),
    build({ ...common, entryPoints: ['src/threads/worker.ts'], splitting: false, plugins: [prepared(root)] }),
    commonJs(root),
  ])
  const files = [...main.outputFiles, ...worker.outputFiles, ...required]
  const written = new Set(files.map(({ path }) => path))
  for (const { path, text } of files) {
    checkUrls(path, text, written)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, ascii(text))
  }
}
