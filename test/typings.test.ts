/**
 * The declarations in the packed tarball, as projects with other settings read them: every export under each module
 * resolution, without the DOM's or Node's types and without `skipLibCheck`; examples for pages and Workers with theirs.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import ts from 'typescript'
import { examplesOf, publicExports, type Example } from '../tools/docs/exports.ts'
import { need, root } from './util.ts'

const built = existsSync(join(root, 'dist/node.d.ts')) || undefined
const SPECIFIERS = {
  node: 'thimble',
  browser: 'thimble/browser',
  workerd: 'thimble/workerd',
  vision: 'thimble/vision',
  serve: 'thimble/serve',
  quantize: 'thimble/quantize',
} as Record<string, string>

let folder = ''
test.before(() => {
  if (!built) return
  folder = mkdtempSync(join(tmpdir(), 'thimble-typings-'))
  const at = join(folder, 'node_modules/thimble')
  mkdirSync(at, { recursive: true })
  const [packed] = JSON.parse(
    execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
      cwd: root,
      encoding: 'utf8',
    }),
  ) as { filename: string }[]
  execFileSync('tar', [
    '-xzf',
    join(folder, packed!.filename),
    '-C',
    at,
    '--strip-components=1',
    '--wildcards',
    '*.d.ts',
    '*/package.json',
  ])
})
test.after(() => {
  if (folder) rmSync(folder, { recursive: true })
})

/** Sources that several projects read, parsed once. */
const parsed = new Map<string, ts.SourceFile | undefined>()

/** What the compiler says of a project with these files. */
function complaints(files: Readonly<Record<string, string>>, options: ts.CompilerOptions): string[] {
  const paths = Object.keys(files).map((name) => join(folder, name))
  Object.entries(files).forEach(([name, text]) => writeFileSync(join(folder, name), text))
  const all: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: false,
    types: [],
    ...options,
  }
  const host = ts.createCompilerHost(all)
  const read = host.getSourceFile.bind(host)
  host.getSourceFile = (name, how, ...more) => {
    const format = typeof how === 'object' ? how.impliedNodeFormat : undefined
    const key = `${format} ${name}`
    if (paths.includes(name)) return read(name, how, ...more)
    if (!parsed.has(key)) parsed.set(key, read(name, how, ...more))
    return parsed.get(key)
  }
  return ts.getPreEmitDiagnostics(ts.createProgram(paths, all, host)).map((d) => {
    const line = d.file && d.start !== undefined ? d.file.getLineAndCharacterOfPosition(d.start).line + 1 : 0
    const where = d.file ? `${d.file.fileName.slice(folder.length + 1)}:${line}: ` : ''
    return where + ts.flattenDiagnosticMessageText(d.messageText, ' ')
  })
}

/** A module that names every export of every entry point, and calls some as users do. */
function consumer(): string {
  const lines: string[] = []
  const used: string[] = []
  for (const { entry, name, kind } of publicExports()) {
    const local = `${entry}_${name}`
    lines.push(`import { ${kind === 'type' ? 'type ' : ''}${name} as ${local} } from '${SPECIFIERS[entry]}'`)
    used.push(kind === 'type' ? '' : local)
  }
  return [
    ...lines,
    `export const all: unknown[] = [${used.filter(Boolean).join(', ')}]`,
    'export async function use(bytes: Uint8Array): Promise<number> {',
    '  using model = await node_loadModel(bytes, { threads: 1 })',
    '  const input: node_TensorInfo = model.inputs[0]!',
    '  const [scores] = model.run(new Int8Array(input.shape.reduce((a, b) => a * b)))',
    '  const classifier = await node_createClassifier(model, { topK: 3 })',
    '  const best: node_Prediction | undefined = (await classifier.classify(bytes))[0]',
    '  using detector = await vision_createDetector(model)',
    '  const found: vision_Detection[] = await detector.detect(bytes)',
    '  return scores!.length + (best?.score ?? 0) + found.length',
    '}',
  ].join('\n')
}

const RESOLUTIONS: Record<string, ts.CompilerOptions> = {
  node16: { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 },
  nodenext: { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
  bundler: { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
}
for (const [name, options] of Object.entries(RESOLUTIONS)) {
  need(
    test,
    `every export with ${name} and nothing but lib es2022`,
    { resource: built, missing: 'dist/ (npm run build)' },
    () => {
      assert.equal(complaints({ [`${name}.mts`]: consumer() }, { ...options, lib: ['lib.es2022.d.ts'] }), [])
    },
  )
}

need(
  test,
  'every export beside the DOM, and from CommonJS',
  { resource: built, missing: 'dist/ (npm run build)' },
  () => {
    const dom = { lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'] }
    assert.equal(complaints({ 'dom.mts': consumer() }, { ...RESOLUTIONS.bundler, ...dom }), [])
    const required = `import { loadModel } from 'thimble'\nexport const load = (path: string) => loadModel(path)\n`
    assert.equal(complaints({ 'required.cts': required }, { ...RESOLUTIONS.node16, lib: ['lib.es2022.d.ts'] }), [])
  },
)

need(test, 'wrong calls are noticed', { resource: built, missing: 'dist/ (npm run build)' }, () => {
  const wrong = `import { loadModel } from 'thimble'\nconst model = await loadModel('a', { plan: 'small' })\nmodel.profile(1)\n`
  const said = complaints({ 'wrong.mts': wrong }, { ...RESOLUTIONS.nodenext, lib: ['lib.es2022.d.ts'] })
  assert.is(said.length, 2, said.join('\n'))
  assert.match(said[1]!, /'profile' does not exist on type 'Model'/)
})

const EXAMPLES: Record<Example['host'], { around: string; options: ts.CompilerOptions }> = {
  node: {
    around: `declare module 'node:fs/promises' { export function readFile(path: string): Promise<Uint8Array> }
      declare var console: { log(...values: unknown[]): void }`,
    options: { ...RESOLUTIONS.nodenext, lib: ['lib.es2022.d.ts'] },
  },
  page: { around: '', options: { ...RESOLUTIONS.bundler, lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'] } },
  worker: {
    around: `declare module '*.wasm' { const module: WebAssembly.Module; export default module }`,
    options: { ...RESOLUTIONS.bundler, lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'] },
  },
}
for (const [host, { around, options }] of Object.entries(EXAMPLES)) {
  need(test, `the examples for ${host} compile`, { resource: built, missing: 'dist/ (npm run build)' }, () => {
    const own = new Set(publicExports().flatMap((e) => examplesOf(e).flatMap((x) => (x.host === host ? [x.code] : []))))
    assert.ok(own.size > 0)
    const files = Object.fromEntries([...own].map((code, i) => [`${host}-${i}.mts`, `${code}\nexport {}\n`]))
    assert.equal(complaints({ ...files, [`${host}.d.ts`]: around }, options), [])
  })
}

need(
  test,
  'no declaration is larger than what it declares',
  { resource: built, missing: 'dist/ (npm run build)' },
  () => {
    const files = readdirSync(join(folder, 'node_modules/thimble/dist'), { recursive: true, encoding: 'utf8' }).filter(
      (f) => f.endsWith('.d.ts'),
    )
    const sizes = files.map((f) => statSync(join(folder, 'node_modules/thimble/dist', f)).size)
    assert.equal(
      files.filter((f) => f.startsWith('generated/') && !f.endsWith('layout.d.ts')),
      [],
    )
    assert.ok(Math.max(...sizes) < 24_000, String(Math.max(...sizes)))
    assert.ok(sizes.reduce((a, b) => a + b) < 300_000)
  },
)

test.run()
