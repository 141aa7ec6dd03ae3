/**
 * Builds everything that `npm ci` leaves behind: the wasm variants (asc), the host's view of the binary layout
 * (src/generated/layout.ts, read from assembly/layout.ts), the embedded wasm bytes, and dist/ (tsc).
 *
 * Usage: tsx tools/build.ts [--wasm] [--if-stale]
 *   --wasm      stop before dist/
 *   --if-stale  do nothing when no source is newer than the last build
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const root = fileURLToPath(new URL('..', import.meta.url))
const VARIANTS = ['simd', 'scalar', 'relaxed', 'threads'] as const

interface RecordLayout { name: string; fields: { name: string; type: string }[] }

/** Reads the constants and the @unmanaged classes of assembly/layout.ts; refuses any line it does not understand. */
function parseLayout(source: string): { constants: [string, number][]; records: RecordLayout[] } {
  const constants: [string, number][] = []
  const records: RecordLayout[] = []
  let current: RecordLayout | undefined
  const lines = source.replace(/\/\*[\s\S]*?\*\//g, '').split('\n').map(line => line.replace(/\/\/.*/, '').trim()).filter(Boolean)
  for (const line of lines) {
    let m: RegExpMatchArray | null
    if ((m = line.match(/^export const (\w+) = (\d+)$/))) constants.push([m[1]!, Number(m[2])])
    else if ((m = line.match(/^@unmanaged export class (\w+)(?: extends (\w+))? \{$/))) {
      const base = m[2] ? records.find(r => r.name === m![2]) : undefined
      if (m[2] && !base) throw new Error(`assembly/layout.ts: ${m[1]} extends unknown ${m[2]}`)
      current = { name: m[1]!, fields: base ? [...base.fields] : [] }
      records.push(current)
    } else if (current && (m = line.match(/^(\w+): (u32|i32|f32)$/))) current.fields.push({ name: m[1]!, type: m[2]! })
    else if (line === '}') current = undefined
    else throw new Error(`assembly/layout.ts: cannot read "${line}"; fields are "name: u32|i32|f32", constants decimal`)
  }
  return { constants, records }
}

function layoutModule(file: string, name: string): string {
  const { constants, records } = parseLayout(readFileSync(join(root, file), 'utf8'))
  const out = [`/** Generated from ${file} by tools/build.ts. */`, '']
  for (const [name, value] of constants) out.push(`export const ${name} = ${value}`)
  out.push('', '/** Field offsets in bytes; every field is four bytes. `f32` lists the fields that hold a float. */', `export const ${name} = {`)
  for (const r of records) {
    out.push(`  ${r.name}: { size: ${r.fields.length * 4}, fields: [${r.fields.map(f => `'${f.name}'`).join(', ')}], f32: [${r.fields.filter(f => f.type === 'f32').map(f => `'${f.name}'`).join(', ')}] },`)
  }
  out.push('} as const', '')
  return out.join('\n')
}

/** Path of a file inside an installed package. */
const inPackage = (name: string, file: string): string => join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), file)

function node(script: string, args: string[]): string {
  const result = spawnSync(process.execPath, [script, ...args], { cwd: root, encoding: 'utf8' })
  if (result.status !== 0) {
    console.error(result.stdout + result.stderr)
    process.exit(1)
  }
  return result.stderr
}

function compile(variant: string): Uint8Array {
  // The float kernels are a module of their own: tools and the quantizer use them, the runtime never does.
  const args = variant === 'float' ? ['--config', 'assembly/float.asconfig.json'] : ['assembly/index.ts', '--target', variant]
  const stderr = node(inPackage('assemblyscript', 'bin/asc.js'), args)
  const text = stderr.replace(/^Last converge was suboptimal\.\n/gm, '').trim()
  if (text) console.error(text)
  return readFileSync(join(root, `build/thimble-${variant}.wasm`))
}

function newest(dir: string): number {
  let time = 0
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.name === 'generated' || entry.name === 'node_modules') continue
    const path = join(dir, entry.name)
    time = Math.max(time, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs)
  }
  return time
}

function main(): void {
  const wasmOnly = process.argv.includes('--wasm')
  const stamp = join(root, wasmOnly ? 'build/thimble-simd.wasm' : 'dist/.built')
  if (process.argv.includes('--if-stale') && existsSync(stamp)) {
    const sources = [join(root, 'assembly'), ...(wasmOnly ? [] : [join(root, 'src')])]
    if (sources.every(dir => newest(dir) < statSync(stamp).mtimeMs)) return
  }
  mkdirSync(join(root, 'build'), { recursive: true })
  mkdirSync(join(root, 'src/generated'), { recursive: true })
  writeFileSync(join(root, 'src/generated/layout.ts'), layoutModule('assembly/layout.ts', 'LAYOUT'))
  writeFileSync(join(root, 'src/generated/wasi-config.ts'), layoutModule('assembly/wasi/config.ts', 'CONFIG_LAYOUT'))
  for (const variant of [...VARIANTS, 'float']) {
    const bytes = compile(variant)
    const text = `/** Generated by tools/build.ts: the ${variant} ${variant === 'float' ? 'kernels' : 'runtime'}, base64. */\nexport default '${Buffer.from(bytes).toString('base64')}'\n`
    writeFileSync(join(root, `src/generated/${variant}.ts`), text)
    console.error(`thimble-${variant}.wasm  ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} gzip`)
  }
  // The commands of `thimble pack --target wasi`: the same executor with picture decoding and text output.
  for (const variant of ['simd', 'scalar', 'relaxed']) {
    node(inPackage('assemblyscript', 'bin/asc.js'), ['--config', 'assembly/wasi.asconfig.json', '--target', variant])
    const bytes = readFileSync(join(root, `build/thimble-wasi-${variant}.wasm`))
    writeFileSync(join(root, `src/generated/wasi-${variant}.ts`), `/** Generated by tools/build.ts: the ${variant} WASI command, base64. */\nexport default '${bytes.toString('base64')}'\n`)
    console.error(`thimble-wasi-${variant}.wasm  ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} gzip`)
  }
  node(inPackage('assemblyscript', 'bin/asc.js'), ['--config', 'assembly/image.asconfig.json'])
  const image = readFileSync(join(root, 'build/thimble-image.wasm'))
  console.error(`thimble-image.wasm  ${image.length} bytes, ${gzipSync(image, { level: 9 }).length} gzip`)
  if (wasmOnly) return
  node(inPackage('typescript', 'bin/tsc'), ['-p', 'tsconfig.build.json'])
  writeFileSync(join(root, 'dist/image.wasm'), image)
  chmodSync(join(root, 'dist/cli.js'), 0o755)
  writeFileSync(stamp, '')
}

main()
