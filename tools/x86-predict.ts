/**
 * Predicts the hot loops of matrix products on x86 processors with VNNI without one: V8's own machine code of the kernels
 * and XNNPACK's loops from LiteRT's library, cycles from LLVM's processor models. A prediction, never a measurement:
 * first-level cache hits, perfect branch prediction.
 *
 * Where this processor has no AVX-VNNI, V8 makes VPMADDUBSW, VPMADDWD and VPADDD of the relaxed dot product; they are
 * replaced by the VPDPBUSD that it emits elsewhere. Everything around them is as V8 made it.
 *
 * Usage: tsx tools/x86-predict.ts [--node PATH] [--library libLiteRt.so]
 * Needs: LLVM 19 (llvm-mc, llvm-mca), objdump for the library.
 */
import { spawnSync } from 'node:child_process'
import { tool } from './codegen/arm-mca.ts'
import { kernelCode } from './codegen/kernels.ts'
import { flatten, loopsOf, type CompiledFunction, type Instruction, type Loop } from './codegen/v8-code.ts'
import { table } from '../src/cli/text.ts'

/** LLVM's names; which of them V8 takes AVX-VNNI on, and which have the 512-bit form. */
const PROCESSORS = [
  { name: 'alderlake', avxVnni: true, wide: false },
  { name: 'sapphirerapids', avxVnni: true, wide: true },
  { name: 'znver4', avxVnni: false, wide: true },
  { name: 'znver5', avxVnni: true, wide: true },
] as const
type Processor = (typeof PROCESSORS)[number]

const REPEATS = 200

interface HotLoop {
  name: string
  /** Assembly, AT&T syntax. */
  lines: string[]
  /** Multiply-adds of a turn, in terms of the plain sum. */
  macs: number
  runs(p: Processor): boolean
}

const option = (name: string): string | undefined => {
  const at = process.argv.indexOf(name)
  return at < 0 ? undefined : process.argv[at + 1]
}

function run(program: string, args: readonly string[], input?: string): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 30, input })
  if (status !== 0) throw new Error(`${program}: ${stderr.slice(0, 400)}`)
  return stdout
}

/** Cycles of a turn in steady state, or undefined where LLVM does not know the processor. */
function cycles(lines: readonly string[], processor: string): number | undefined {
  const args = ['--mtriple=x86_64', `-mcpu=${processor}`, `-iterations=${REPEATS}`, '--instruction-info=0']
  const { status, stdout } = spawnSync(tool('llvm-mca')!, [...args, '--resource-pressure=0'], {
    encoding: 'utf8',
    input: `${lines.join('\n')}\n`,
  })
  const total = status === 0 ? stdout.match(/Total Cycles:\s+(\d+)/) : undefined
  return total ? Number(total[1]) / REPEATS : undefined
}

/** V8's instructions without branches, as LLVM writes them. */
function disassemble(instructions: readonly Instruction[]): string[] {
  const bytes = instructions
    .filter((i) => i.target === undefined)
    .map((i) => (i.code.match(/../g) ?? []).map((b) => `0x${b}`).join(' '))
  const text = run(tool('llvm-mc')!, ['--disassemble', '--triple=x86_64', '-mattr=+avx2'], `${bytes.join('\n')}\n`)
  return text
    .split('\n')
    .map((l) => l.trim())
    .filter((l) => l && !l.startsWith('.'))
}

/** `vpaddd %xmm1, %xmm2, %xmm3` as its name and operands. */
function parts(line: string): [op: string, ...operands: string[]] {
  const [op = '', ...rest] = line.split(/\s+/)
  return [op, ...rest.join('').split(/,(?![^(]*\))/)]
}

/** VPMADDUBSW, VPMADDWD by ones and VPADDD as one VPDPBUSD. */
function withVnni(lines: readonly string[]): string[] {
  const pending = new Map<string, [signed: string, unsigned: string]>()
  const out: string[] = []
  for (const line of lines) {
    const [op, a = '', b = '', to = ''] = parts(line)
    if (op === 'vpmaddubsw') pending.set(to, [a, b])
    else if (op === 'vpmaddwd' && (pending.has(a) || pending.has(b))) {
      const found = pending.get(a) ?? pending.get(b)!
      pending.delete(a)
      pending.delete(b)
      pending.set(to, found)
    } else if (op === 'vpaddd' && (pending.has(a) || pending.has(b))) {
      const [sum, operands] = pending.has(a) ? [b, pending.get(a)!] : [a, pending.get(b)!]
      if (sum !== to) out.push(`vmovdqa ${sum}, ${to}`)
      out.push(`{vex} vpdpbusd ${operands.join(', ')}, ${to}`)
    } else out.push(line)
  }
  // Ones are made anew for each product.
  return lines.some((l) => l.startsWith('vpmaddubsw'))
    ? out.filter((l) => !/^(vpcmpeqd|vpcmpeqw|vpsrlw|vpabsw)\b/.test(l))
    : out
}

/** The innermost loop that multiplies most. */
function hottest(functions: readonly CompiledFunction[], multiply: RegExp): Loop {
  const count = (l: Loop): number => l.body.filter((i) => multiply.test(i.op)).length
  const loops = functions.flatMap((f) => flatten(loopsOf(f))).filter((l) => l.inner.length === 0)
  return loops.reduce((a, b) => (count(b) > count(a) ? b : a))
}

function ours(node: string): HotLoop[] {
  const relaxed = kernelCode([node], 'relaxed')?.get('gemm_13')
  const simd = kernelCode([node], 'simd')
  if (!relaxed || !simd) throw new Error(`${node} does not print machine code, or build/ is empty: npm run build`)
  const count = (lines: readonly string[], op: string): number => lines.filter((l) => l.includes(op)).length
  const vnni = withVnni(disassemble(hottest(relaxed, /^vpmaddubsw|^vpdpbusd/).body))
  const plain = disassemble(hottest(simd.get('gemm_0')!, /^vpmaddwd/).body)
  const winograd = disassemble(hottest(simd.get('kernel_40')!, /^vpmaddwd/).body)
  return [
    {
      name: 'Thimble gemm-4x8c4-dot (x86-vnni)',
      lines: vnni,
      macs: 16 * count(vnni, 'vpdpbusd'),
      runs: (p) => p.avxVnni,
    },
    { name: 'Thimble gemm-4x8 (x86)', lines: plain, macs: 8 * count(plain, 'vpmaddwd'), runs: () => true },
    {
      name: 'Thimble winograd-4x8 (x86), 3x3 only',
      lines: winograd,
      macs: 4 * 8 * count(winograd, 'vpmaddwd'),
      runs: () => true,
    },
  ]
}

interface Line {
  at: number
  text: string
}

/** The library's innermost loops with VPDPBUSD: for each width of registers the one of most products. */
function theirs(library: string): HotLoop[] {
  const lines: Line[] = []
  for (const l of run('objdump', ['-d', '--no-show-raw-insn', library]).split('\n')) {
    const m = l.match(/^\s*([0-9a-f]+):\s+(\S.*?)\s*(#.*)?$/)
    if (m) lines.push({ at: parseInt(m[1]!, 16), text: m[2]!.replace(/\s+/g, ' ') })
  }
  const index = new Map(lines.map((l, i) => [l.at, i]))
  const best = new Map<string, HotLoop>()
  for (const [i, { at, text }] of lines.entries()) {
    const target = text.match(/^j(?!mp)\w+ ([0-9a-f]+)\b/)
    const from = target ? parseInt(target[1]!, 16) : at
    const first = index.get(from)
    if (from >= at || at - from > 4096 || first === undefined) continue
    const body = lines.slice(first, i).map((l) => l.text)
    const products = body.filter((l) => l.includes('vpdpbusd'))
    if (!products.length || body.some((l) => /^(j|call|ret)/.test(l))) continue
    const width = products[0]!.match(/%([xyz])mm\d+(?!.*%)/)?.[1] ?? 'x'
    const vex = products.some((l) => l.startsWith('{vex}'))
    const key = `${width}${vex}`
    const macs = products.length * { x: 16, y: 32, z: 64 }[width as 'x' | 'y' | 'z']
    if (macs <= (best.get(key)?.macs ?? 0)) continue
    best.set(key, {
      name: `XNNPACK, ${{ x: 128, y: 256, z: 512 }[width as 'x' | 'y' | 'z']} bits${vex ? ' (AVX-VNNI)' : ' (AVX-512 VNNI)'}`,
      lines: body,
      macs,
      runs: (p) => (vex ? p.avxVnni : p.wide),
    })
  }
  return [...best.values()].sort((a, b) => a.macs - b.macs)
}

function main(): void {
  if (!tool('llvm-mca') || !tool('llvm-mc')) throw new Error('llvm-mc and llvm-mca are needed: install LLVM 19')
  const library = option('--library')
  const loops = [...ours(option('--node') ?? process.execPath), ...(library ? theirs(library) : [])]
  const rows = loops.map(({ name, lines, macs, runs }) => [
    name,
    String(macs),
    ...PROCESSORS.map((p) => {
      const c = runs(p) ? cycles(lines, p.name) : undefined
      return c === undefined ? '-' : (macs / c).toFixed(1)
    }),
  ])
  console.log('Predicted multiply-adds a cycle, one core (llvm-mca):')
  console.log(table([['loop', 'MAC a turn', ...PROCESSORS.map((p) => p.name)], ...rows], [1, 2, 3, 4, 5]))
}

main()
