/**
 * What bundlers leave out of dist/: the code of a task is only where the task is used. esbuild makes the bundles; the
 * modules of src/ that are left in them are told by the functions and values that they declare.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { build, type BuildOptions } from 'esbuild'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { need, root } from './util.ts'

const test = suite('tree-shaking')
const dist = join(root, 'dist')
const built = existsSync(join(dist, 'vision.js')) || undefined

/** dist/'s scripts by path, each cut at the lines that name the module of src/ that follows. */
function sections(): Map<string, Map<string, string>> {
  const files = ['.', 'chunks'].flatMap((folder) =>
    readdirSync(join(dist, folder))
      .filter((name) => name.endsWith('.js'))
      .map((name) => join(dist, folder, name)),
  )
  return new Map(
    files.map((path) => {
      const [, ...parts] = readFileSync(path, 'utf8').split(/^\/\/ (?=src\/\S+\.ts$)/m)
      return [
        relative(root, path),
        new Map(parts.map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n'))])),
      ]
    }),
  )
}

const DECLARED = /^(?:async )?(?:function\*?|var|let|const|class) (\w+)/gm
const declared = (text: string): string[] => Array.from(text.matchAll(DECLARED), ([, name]) => name!)

interface Bundle {
  /** Not minified: names are those of dist/. */
  text: string
  /** Files of dist/ of which something is left. */
  files: string[]
}

const folder = mkdtempSync(join(tmpdir(), 'thimble-'))
test.after(() => rmSync(folder, { recursive: true }))
mkdirSync(join(folder, 'node_modules'))
symlinkSync(root, join(folder, 'node_modules/thimble'), 'junction')

const HOSTS: Record<string, BuildOptions> = {
  browser: { platform: 'browser' },
  node: { platform: 'node' },
  workerd: { platform: 'browser', conditions: ['workerd', 'worker', 'browser'] },
}

async function bundle(host: BuildOptions, contents: string): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    ...host,
    absWorkingDir: root,
    stdin: { contents, resolveDir: folder },
    bundle: true,
    format: 'esm',
    write: false,
    metafile: true,
    logLevel: 'silent',
    outdir: 'out',
  })
  return {
    text: outputFiles.map(({ text }) => text).join('\n'),
    files: Object.values(metafile.outputs).flatMap(({ inputs }) =>
      Object.keys(inputs).filter((path) => inputs[path]!.bytesInOutput > 0),
    ),
  }
}

/** The modules of src/ of which a declaration is left, told by the names that one module alone declares. */
function modulesIn({ text, files }: Bundle): string[] {
  const all = sections()
  const owners = new Map<string, string | undefined>()
  for (const [module, part] of [...all.values()].flatMap((modules) => [...modules])) {
    for (const name of declared(part)) owners.set(name, owners.has(name) ? undefined : module)
  }
  const found = new Set(declared(text).map((name) => owners.get(name)))
  return files.flatMap((path) => [...(all.get(path)?.keys() ?? [])].filter((module) => found.has(module))).sort()
}

/** What tasks beside classification are made of. */
const isTask = (module: string): boolean => /^src\/(vision|learn|draw|live)\b/.test(module)

const CLASSIFIER = `import { createClassifier, loadModel } from 'thimble'
globalThis.classify = async (file, photo) => (await createClassifier(await loadModel(file))).classify(photo)
`

for (const [name, host] of Object.entries(HOSTS)) {
  need(
    test,
    `${name}: a classifier has nothing of the other tasks`,
    { resource: built, missing: 'dist/ is not built' },
    async () => {
      const alone = await bundle(host, CLASSIFIER)
      const modules = modulesIn(alone)
      assert.ok(
        modules.includes('src/classify/classifier.ts') && modules.includes('src/answers/labels.ts'),
        modules.join(),
      )
      assert.equal(modules.filter(isTask), [])
      const files = sections()
      // No file that it needs a part of holds any of theirs: nothing depends on how well a bundler cuts.
      assert.equal(
        alone.files.filter((path) => [...(files.get(path)?.keys() ?? [])].some(isTask)),
        [],
      )
      const unused = await bundle(host, `import { createDetector } from 'thimble/vision'\n${CLASSIFIER}`)
      assert.equal(modulesIn(unused), modules, 'an import that is not used')
    },
  )
}

/** Recognising a model's head, family by family. */
const RECOGNISE = ['about', 'described', 'recognise', 'values'].concat(
  ['boxes', 'levels', 'masks', 'points', 'yolo'].map((family) => `recognise-${family}`),
)
/** What every task needs: recognising the model's head, the network, pictures of every kind. */
const COMMON = [...RECOGNISE, 'decoders', 'frame', 'network']
/** The decoders of boxes: which one runs is known when the model is read. */
const BOXES =
  'blazeface centerface centernet dbface detr face-priors fastestdet fomo levels postprocess ssd ultraface yolo yolo-grid yolo-nms yolo-parts yolox'.split(
    ' ',
  )
const DETECTOR = [...COMMON, 'boxes', 'detector', 'turned', ...BOXES.map((head) => `heads/${head}`)]

/** The modules of tasks that one name of thimble/vision brings. */
const NEEDED: Record<string, string[]> = {
  createDetector: DETECTOR,
  createTracker: ['assign', 'tracker'],
  nonMaxSuppression: ['boxes'],
  headOf: RECOGNISE,
}

for (const [name, needed] of Object.entries(NEEDED)) {
  need(
    test,
    `${name} alone brings ${needed.length} modules of tasks`,
    { resource: built, missing: 'dist/ is not built' },
    async () => {
      // For a browser: nothing of Node may be asked for.
      const found = modulesIn(await bundle(HOSTS.browser!, `export { ${name} } from 'thimble/vision'`))
      assert.equal(found.filter(isTask), needed.map((module) => `src/vision/${module}.ts`).sort())
    },
  )
}

need(
  test,
  'all of thimble/vision is bundled for browsers',
  { resource: built, missing: 'dist/ is not built' },
  async () => {
    const { text } = await bundle(HOSTS.browser!, "export * from 'thimble/vision'")
    assert.not.match(text, /(from|import\()\s*["']node:/)
  },
)

test.run()
