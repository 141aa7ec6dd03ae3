/**
 * One script of all targets whose branches count: every branch of src/ (and of fflate) adds to its counter, typed
 * arrays report their size before they are made, and the SIMD image module counts its branches in its own memory.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { deflateRawSync } from 'node:zlib'
import { build } from 'esbuild'
import ts from 'typescript'
import { Reader, Writer } from '../../src/pack/bytes.ts'
import { encodeModule, parseModule, walkBody } from '../../src/pack/wasm.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
export const BUILD = join(root, 'build/fuzz')

/** What the loop must know of the script. */
export interface Instrumented {
  script: string
  /**
   * Branches of TypeScript, and those of the image module from byte WASM_COUNTERS of its memory on, four bytes each.
   */
  branches: number
  wasmBranches: number
  /** Strings and numbers that the sources compare with, as base64. */
  words: string[]
}
export const WASM_COUNTERS = 4096
/** Static data of the image module begin here instead, so that counters have room. */
const WASM_BASE = 1 << 18
const MAX_BRANCHES = 1 << 16

interface Edit {
  from: number
  to: number
  text: string
}

function applied(source: string, edits: Edit[]): string {
  let out = ''
  let at = 0
  for (const e of edits.map((e, i) => ({ ...e, i })).sort((a, b) => a.from - b.from || a.i - b.i)) {
    out += source.slice(at, e.from) + e.text
    at = Math.max(at, e.to)
  }
  return out + source.slice(at)
}

const ARRAYS = new Set([
  'Uint8Array',
  'Uint8ClampedArray',
  'Int8Array',
  'Uint16Array',
  'Int16Array',
  'Uint32Array',
  'Int32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'ArrayBuffer',
])
const LAZY = new Set([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.QuestionQuestionToken,
  ts.SyntaxKind.BarBarEqualsToken,
  ts.SyntaxKind.QuestionQuestionEqualsToken,
  ts.SyntaxKind.AmpersandAmpersandEqualsToken,
])

/** The source with counters, the first of them `next()`; `word` gets what is compared with. */
function counted(source: string, path: string, next: () => number, word: (value: string | number) => void): string {
  const file = ts.createSourceFile(path, source, ts.ScriptTarget.ES2022, true)
  const edits: Edit[] = []
  const put = (at: number, text: string): void => void edits.push({ from: at, to: at, text })
  const visit = (node: ts.Node): void => ts.forEachChild(node, walk)
  const expression = (node: ts.Expression): void => {
    put(node.getStart(file), `(__c[${next()}]++,`)
    walk(node)
    put(node.end, ')')
  }
  const block = (node: ts.Statement | ts.Block): void => {
    if (ts.isBlock(node)) {
      put(node.getStart(file) + 1, `__c[${next()}]++;`)
      visit(node)
      return
    }
    put(node.getStart(file), `{__c[${next()}]++;`)
    walk(node)
    put(node.end, '}')
  }
  function walk(node: ts.Node): void {
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return
    if (ts.isStringLiteral(node) && !ts.isImportDeclaration(node.parent)) word(node.text)
    if (ts.isNumericLiteral(node)) word(Number(node.text.replaceAll('_', '')))
    if (
      ts.isNewExpression(node) &&
      ts.isIdentifier(node.expression) &&
      ARRAYS.has(node.expression.text) &&
      node.arguments?.length === 1
    ) {
      const [argument] = node.arguments
      edits.push({ from: node.getStart(file), to: argument!.getStart(file), text: `__a(${node.expression.text},` })
      visit(node)
    } else if (ts.isIfStatement(node)) {
      walk(node.expression)
      block(node.thenStatement)
      if (node.elseStatement) block(node.elseStatement)
    } else if (ts.isIterationStatement(node, false)) {
      ts.forEachChild(node, (child) => (child === node.statement ? block(node.statement) : walk(child)))
    } else if (ts.isCaseOrDefaultClause(node)) {
      if (ts.isCaseClause(node)) walk(node.expression)
      put(node.statements.pos, `__c[${next()}]++;`)
      node.statements.forEach(walk)
    } else if (ts.isConditionalExpression(node)) {
      walk(node.condition)
      expression(node.whenTrue)
      expression(node.whenFalse)
    } else if (ts.isBinaryExpression(node) && LAZY.has(node.operatorToken.kind)) {
      walk(node.left)
      expression(node.right)
    } else if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) {
      node.parameters.forEach(walk)
      expression(node.body)
    } else if (ts.isFunctionLike(node) && 'body' in node && node.body && ts.isBlock(node.body)) {
      node.parameters.forEach(walk)
      block(node.body)
    } else if (ts.isCatchClause(node)) {
      block(node.block)
    } else visit(node)
  }
  walk(file)
  return applied(source, edits)
}

/** A module that counts: at every branch, `count` more words of memory from WASM_COUNTERS on. */
function countedModule(bytes: Uint8Array): { wasm: Uint8Array; branches: number } {
  const m = parseModule(bytes)
  let branches = 0
  for (const f of m.functions) {
    const places: number[] = []
    const r = new Reader(f.body)
    r.list(() => {
      r.skipLeb()
      r.skip(1)
    })
    places.push(r.at)
    walkBody(
      f.body,
      () => {},
      // loop, if, else, end, br_if
      (op, end) => {
        if ([0x03, 0x04, 0x05, 0x0b, 0x0d].includes(op) && end < f.body.length) places.push(end)
      },
    )
    const w = new Writer()
    let copied = 0
    for (const at of places) {
      w.bytes(f.body.subarray(copied, at))
      copied = at
      const address = WASM_COUNTERS + 4 * branches++
      w.u8(0x41).s33(address).u8(0x41).s33(address).u8(0x28, 2, 0).u8(0x41).s33(1).u8(0x6a).u8(0x36, 2, 0)
    }
    f.body = w.bytes(f.body.subarray(copied)).finish()
  }
  if (WASM_COUNTERS + 4 * branches > WASM_BASE) throw new Error(`${branches} branches need more room`)
  return { wasm: encodeModule(m), branches }
}

/** The SIMD image module with counters; compiled when a source of it is newer. */
function imageModule(): { wasm: Uint8Array; branches: number } {
  const sources = [
    'assembly/image.ts',
    ...ts.sys
      .readDirectory(join(root, 'assembly/image'), ['.ts'])
      .map((p) => relative(root, p))
      .sort(),
  ]
  const hash = createHash('sha256')
  for (const s of sources) hash.update(readFileSync(join(root, s)))
  const out = join(BUILD, `image-${hash.digest('hex').slice(0, 12)}.wasm`)
  if (!existsSync(out)) {
    const asc = join(dirname(createRequire(import.meta.url).resolve('assemblyscript/package.json')), 'bin/asc.js')
    execFileSync(
      process.execPath,
      [
        ...[asc, 'assembly/image.ts', '--outFile', out, '--enable', 'simd', '--memoryBase', `${WASM_BASE}`],
        ...['-O1', '--runtime', 'stub', '--noAssert', '--use', 'abort='],
      ],
      { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
    )
  }
  return countedModule(new Uint8Array(readFileSync(out)))
}

const bytesOf = (value: string | number): Uint8Array[] => {
  if (typeof value === 'string') {
    return value.length > 1 && value.length <= 40 && /^[\x20-\x7e]+$/.test(value)
      ? [Uint8Array.from(Buffer.from(value))]
      : []
  }
  if (!Number.isInteger(value) || value < 128 || value > 0xffffffff) return []
  const big = Buffer.alloc(4)
  big.writeUInt32BE(value)
  const short = value < 65536 ? big.subarray(2) : big
  return [Uint8Array.from(short), Uint8Array.from(short).reverse()]
}

/** Bundles loop.ts with everything it reads with, counting. */
export async function instrument(): Promise<Instrumented> {
  mkdirSync(BUILD, { recursive: true })
  let branches = 0
  const words = new Set<string>()
  const image = imageModule()
  const script = join(BUILD, 'loop.mjs')
  await build({
    entryPoints: [join(root, 'tools/fuzz/loop.ts')],
    outfile: script,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    logLevel: 'warning',
    banner: {
      js: [
        `const __c = globalThis.fuzzCounters = new Uint32Array(${MAX_BRANCHES})`,
        'const __m = globalThis.fuzzMeter = { arrayBytes: 0, most: Infinity }',
        'class MemoryBound extends Error {}',
        'const __a = (T, n) => {',
        '  const count = typeof n === "number" ? n : n instanceof ArrayBuffer ? 0 : (n?.length ?? 0)',
        '  const bytes = count * (T.BYTES_PER_ELEMENT ?? 1)',
        '  if (bytes > 0 && (__m.arrayBytes += bytes) > __m.most) throw new MemoryBound(`${__m.arrayBytes} bytes of arrays`)',
        '  return new T(n)',
        '}',
        "import { createRequire as __r } from 'node:module'",
        'const require = __r(import.meta.url)',
      ].join('\n'),
    },
    plugins: [
      {
        name: 'count',
        setup(b) {
          b.onLoad({ filter: /generated\/image-simd\.ts$/ }, () => ({
            contents: `export default ${JSON.stringify({
              bytes: image.wasm.length,
              deflated: deflateRawSync(image.wasm).toString('base64'),
            })}`,
            loader: 'ts',
          }))
          b.onLoad(
            { filter: /\/src\/[a-fh-z][^/]*\/.*\.ts$|\/src\/[^/]*\.ts$|fflate\/esm\/.*\.m?js$/ },
            ({ path }) => ({
              contents: counted(
                readFileSync(path, 'utf8'),
                path,
                () => branches++,
                (value) => {
                  for (const word of bytesOf(value)) words.add(Buffer.from(word).toString('base64'))
                },
              ),
              loader: path.endsWith('.ts') ? 'ts' : 'js',
            }),
          )
        },
      },
    ],
  })
  if (branches > MAX_BRANCHES) throw new Error(`${branches} branches need more counters`)
  const about = { script, branches, wasmBranches: image.branches, words: [...words] }
  writeFileSync(join(BUILD, 'loop.json'), JSON.stringify(about))
  return about
}
