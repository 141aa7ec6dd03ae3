/**
 * Builds everything that `npm ci` leaves behind: the wasm variants (asc), the host's view of the binary layout
 * (src/generated/layout.ts, read from assembly/layout.ts), the embedded wasm bytes, and dist/ (esbuild; declarations by
 * tsc).
 *
 * Usage: tsx tools/build.ts [--layout | --wasm] [--if-stale]
 *   --layout    nothing but src/generated/layout.ts
 *   --wasm      stop before dist/
 *   --if-stale  only what has a source newer than the last build
 */
import { execFile } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { deflateRawSync, gzipSync } from 'node:zlib'
import { bundle } from './bundle.ts'
import { pruneDeclarations } from './declarations.ts'
import { renameExports } from './wasm-exports.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const VARIANTS = ['simd', 'scalar', 'relaxed', 'threads', 'fast'] as const

interface RecordLayout {
  name: string
  fields: { name: string; type: string }[]
}

/** Reads the constants and the @unmanaged classes of assembly/layout.ts; refuses any line it does not understand. */
function parseLayout(source: string): { constants: [string, number][]; records: RecordLayout[] } {
  const constants: [string, number][] = []
  const records: RecordLayout[] = []
  let current: RecordLayout | undefined
  const lines = source
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .split('\n')
    .map((line) => line.replace(/\/\/.*/, '').trim())
    .filter(Boolean)
  for (const line of lines) {
    let m: RegExpMatchArray | null
    if ((m = line.match(/^export const (\w+) = (\d+)$/))) constants.push([m[1]!, Number(m[2])])
    else if ((m = line.match(/^@unmanaged export class (\w+)(?: extends (\w+))? \{$/))) {
      const base = m[2] ? records.find((r) => r.name === m![2]) : undefined
      if (m[2] && !base) throw new Error(`assembly/layout.ts: ${m[1]} extends unknown ${m[2]}`)
      current = { name: m[1]!, fields: base ? [...base.fields] : [] }
      records.push(current)
    } else if (current && (m = line.match(/^(\w+): (u32|i32|f32)$/))) current.fields.push({ name: m[1]!, type: m[2]! })
    else if (line === '}') current = undefined
    else throw new Error(`assembly/layout.ts: cannot read "${line}"; fields are "name: u32|i32|f32", constants decimal`)
  }
  const opcodes = constants.filter(([name]) => name.startsWith('OP_'))
  for (const [i, [name, value]] of opcodes.entries()) {
    const other = opcodes.slice(0, i).find(([, v]) => v === value)
    if (other) throw new Error(`assembly/layout.ts: ${other[0]} and ${name} are both ${value}`)
  }
  return { constants, records }
}

function layoutModule(file: string, name: string): string {
  const { constants, records } = parseLayout(readFileSync(join(root, file), 'utf8'))
  const out = [`/** Generated from ${file} by tools/build.ts. */`, '']
  for (const [name, value] of constants) out.push(`export const ${name} = ${value}`)
  out.push(
    '',
    '/** Field offsets in bytes; every field is four bytes. `f32` lists the fields that hold a float. */',
    `export const ${name} = {`,
  )
  for (const r of records) {
    out.push(
      `  ${r.name}: { size: ${r.fields.length * 4}, fields: [${r.fields.map((f) => `'${f.name}'`).join(', ')}], f32: [${r.fields
        .filter((f) => f.type === 'f32')
        .map((f) => `'${f.name}'`)
        .join(', ')}] },`,
    )
  }
  out.push(
    '} as const',
    '',
    '/** Changes whenever the layout does. */',
    `export const ${name}_ID = 0x${createHash('sha256').update(JSON.stringify({ constants, records })).digest('hex').slice(0, 8)}`,
    '',
  )
  return out.join('\n')
}

/** Path of a file inside an installed package. */
const inPackage = (name: string, file: string): string =>
  join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), file)

/** Runs a script in a Node of its own; its complaints are printed, a failure ends the build. */
async function node(script: string, args: string[]): Promise<void> {
  try {
    const { stderr } = await promisify(execFile)(process.execPath, [script, ...args], { cwd: root })
    const text = stderr.replace(/^Last converge was suboptimal\.\n/gm, '').trim()
    if (text) console.error(text)
  } catch (error) {
    const { stdout, stderr, message } = error as { stdout?: string; stderr?: string; message: string }
    console.error((stdout ?? '') + (stderr ?? '') || message)
    process.exit(1)
  }
}

/** A wasm module: what asc is told, and what the generated file says that embeds its bytes. */
interface Module {
  name: string
  asc: string[]
  embed: string
  /** Its bytes are compressed: pages load it on demand. */
  compressed?: boolean
}

const wasi = ['simd', 'scalar', 'relaxed'].map((variant) => ({
  name: `wasi-${variant}`,
  asc: ['--config', 'assembly/wasi.asconfig.json', '--target', variant],
  embed: `the ${variant} WASI command`,
  compressed: true,
}))
const MODULES: Module[] = [
  ...VARIANTS.map((variant) => ({
    name: variant,
    asc: ['assembly/index.ts', '--target', variant],
    embed: `the ${variant} runtime`,
    compressed: variant !== 'fast',
  })),
  // The float kernels are a module of their own: tools and the quantizer use them, the runtime never does.
  { name: 'float', asc: ['--config', 'assembly/float.asconfig.json'], embed: 'the float kernels' },
  // What src/kernels/kernels.ts asks the engine.
  ...['probe', 'probe-relaxed'].map((name) => ({
    name,
    asc: ['--config', 'assembly/probe.asconfig.json', '--target', name],
    embed: `the ${name} module`,
  })),
  // What src/base/scan.ts has computed while the rest is still interpreted.
  { name: 'scan', asc: ['--config', 'assembly/scan.asconfig.json'], embed: 'the scan module' },
  // What `thimble pack` makes commands and components of: the same executor with picture decoding and text output.
  ...wasi,
  // Decoding and resizing of pictures, on every host.
  ...['simd', 'scalar'].map((target) => ({
    name: `image-${target}`,
    asc: ['--config', 'assembly/image.asconfig.json', '--target', target],
    embed: `the ${target} image module`,
    compressed: true,
  })),
  // What label files in zip archives need.
  { name: 'inflate', asc: ['--config', 'assembly/inflate.asconfig.json'], embed: 'the inflate module' },
]

/** The configuration that a module's arguments name, and the source that it begins with. */
function beginning(asc: readonly string[]): { config: string; entry: string } {
  const at = asc.indexOf('--config')
  const config = at < 0 ? 'asconfig.json' : asc[at + 1]!
  const { entries } = JSON.parse(readFileSync(join(root, config), 'utf8')) as { entries: [string] }
  return { config, entry: join(dirname(config), entries[0]) }
}

/** The sources that `entry` imports, directly or not, itself included. */
function sourcesOf(entry: string, found = new Set<string>()): Set<string> {
  if (found.has(entry)) return found
  found.add(entry)
  for (const [, path] of readFileSync(join(root, entry), 'utf8').matchAll(/\bfrom '(\.[^']+)'/g)) {
    const target = join(dirname(entry), path!)
    sourcesOf(existsSync(join(root, `${target}.ts`)) ? `${target}.ts` : join(target, 'index.ts'), found)
  }
  return found
}

/** What a module's bytes depend on: its sources, its configuration and arguments, and the compiler. */
function fingerprint({ asc }: Module): string {
  const { config, entry } = beginning(asc)
  const hash = createHash('sha256').update(asc.join(' '))
  for (const path of [inPackage('assemblyscript', 'package.json'), join(root, config)]) hash.update(readFileSync(path))
  for (const source of [...sourcesOf(entry)].sort()) hash.update(source).update(readFileSync(join(root, source)))
  return hash.digest('hex')
}

/** Modules that were compiled before, by fingerprint. */
const CACHE = process.env.THIMBLE_BUILD_CACHE ?? join(root, 'node_modules/.cache/thimble-asc')

async function compile(module: Module): Promise<void> {
  const { name, asc, embed, compressed } = module
  const output = join(root, `build/thimble-${name}.wasm`)
  const cached = join(CACHE, `${fingerprint(module)}.wasm`)
  if (!existsSync(cached)) {
    await node(inPackage('assemblyscript', 'bin/asc.js'), asc)
    mkdirSync(CACHE, { recursive: true })
    copyFileSync(output, `${cached}.${process.pid}`)
    renameSync(`${cached}.${process.pid}`, cached)
  }
  const bytes = numberKernels(readFileSync(cached))
  writeFileSync(output, bytes)
  embedModule(name, embed, bytes, compressed)
}

/**
 * The exports that tell the linker where kernels are, by the opcodes of assembly/layout.ts instead of their names
 * (`kernel_conv`: `kernel_4`): what a packed program holds, and shorter.
 */
function numberKernels(wasm: Uint8Array): Uint8Array {
  const numbers = new Map(
    parseLayout(readFileSync(join(root, 'assembly/layout.ts'), 'utf8'))
      .constants.filter(([name]) => name.startsWith('OP_'))
      .map(([name, opcode]) => [`kernel_${name.slice(3).toLowerCase()}`, `kernel_${opcode}`]),
  )
  return renameExports(wasm, (name) => {
    if (!name.startsWith('kernel_')) return name
    const numbered = numbers.get(name)
    if (!numbered) throw new Error(`assembly/kernels: ${name} names no opcode of assembly/layout.ts`)
    return numbered
  })
}

/** Writes the source that holds a module's bytes. */
function embedModule(name: string, what: string, bytes: Uint8Array, compressed = false): void {
  const text = Buffer.from(compressed ? deflateRawSync(bytes, { level: 9 }) : bytes).toString('base64')
  const value = compressed ? `{ bytes: ${bytes.length}, deflated: '${text}' as string }` : `'${text}' as string`
  writeFileSync(
    join(root, `src/generated/${name}.ts`),
    `/** Generated by tools/build.ts: ${what}, ${compressed ? 'deflated, ' : ''}base64. */\nexport default ${value}\n`,
  )
  console.error(`thimble-${name}.wasm  ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} gzip`)
}

/** The modules with the core kernels only, cut out of the full ones: src/kernels/core-kernels.ts has the list. */
async function cutCores(): Promise<void> {
  const { CORE_OPCODES, OTHER_PACKERS } = await import('../src/kernels/core-kernels.ts')
  const { cutRuntime } = await import('../src/pack/link.ts')
  for (const variant of ['simd', 'relaxed']) {
    const runtime = readFileSync(join(root, `build/thimble-${variant}.wasm`))
    const core = cutRuntime(runtime, (opcode) => CORE_OPCODES.has(opcode), OTHER_PACKERS)
    writeFileSync(join(root, `build/thimble-${variant}-core.wasm`), core)
    const what = `the ${variant} runtime with the core kernels`
    embedModule(`${variant}-core`, what, core, true)
    // Node's entry point has it in itself.
    if (variant === 'simd') embedModule('simd-core-raw', what, core)
  }
}

/** What makes the rest. */
const BUILDERS = [
  'tools/build.ts',
  'tools/bundle.ts',
  'tools/declarations.ts',
  'tools/pure.ts',
  'tools/wasm-exports.ts',
]

/** When a file, or anything in a folder, was last changed. */
function newest(dir: string): number {
  if (!statSync(dir).isDirectory()) return statSync(dir).mtimeMs
  let time = 0
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.name === 'generated' || entry.name === 'node_modules') continue
    const path = join(dir, entry.name)
    time = Math.max(time, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs)
  }
  return time
}

/** Whether `stamp` is missing or older than one of the sources. */
const isStale = (stamp: string, sources: readonly string[]): boolean =>
  !existsSync(join(root, stamp)) ||
  sources.some((path) => newest(join(root, path)) >= statSync(join(root, stamp)).mtimeMs)

const BUILT_WASM = 'build/.wasm'
const BUILT_DIST = 'dist/.built'

/** The host's view of the records. */
function writeLayouts(): void {
  mkdirSync(join(root, 'src/generated'), { recursive: true })
  writeFileSync(join(root, 'src/generated/layout.ts'), layoutModule('assembly/layout.ts', 'LAYOUT'))
  writeFileSync(join(root, 'src/generated/wasi-config.ts'), layoutModule('assembly/wasi/config.ts', 'CONFIG_LAYOUT'))
}

/** The wasm modules and the generated sources. */
async function buildWasm(): Promise<void> {
  mkdirSync(join(root, 'build'), { recursive: true })
  writeLayouts()
  const queue = [...MODULES]
  const worker = async (): Promise<void> => {
    for (let m = queue.shift(); m; m = queue.shift()) await compile(m)
  }
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, worker))
  await cutCores()
  writeFileSync(join(root, BUILT_WASM), '')
}

async function buildDist(): Promise<void> {
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  await Promise.all([node(inPackage('typescript', 'bin/tsc'), ['-p', 'tsconfig.build.json']), bundle(root)])
  pruneDeclarations(join(root, 'dist'), ['node', 'browser', 'workerd', 'vision', 'serve', 'quantize'])
  copyFileSync(join(root, 'build/thimble-image-simd.wasm'), join(root, 'dist/image.wasm'))
  chmodSync(join(root, 'dist/cli.js'), 0o755)
  writeFileSync(join(root, BUILT_DIST), '')
}

async function main(): Promise<void> {
  if (process.argv.includes('--layout')) return writeLayouts()
  const always = !process.argv.includes('--if-stale')
  const wasm =
    always ||
    isStale(BUILT_WASM, ['assembly', 'tools/build.ts', 'src/kernels/core-kernels.ts', 'src/pack']) ||
    !existsSync(join(root, 'src/generated'))
  if (wasm) await buildWasm()
  if (process.argv.includes('--wasm')) return
  if (wasm || isStale(BUILT_DIST, ['src', ...BUILDERS])) await buildDist()
}

await main()
