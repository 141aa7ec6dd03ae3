/**
 * The hot loops of matrix products as V8 compiles them for x86, and as it would where the processor has AVX-VNNI:
 * without it V8 makes VPMADDUBSW, VPMADDWD and VPADDD of the relaxed dot product.
 */
import { spawnSync } from 'node:child_process'
import { tool } from './arm-mca.ts'
import { kernelCode } from './kernels.ts'
import { flatten, loopsOf, type CompiledFunction, type Instruction, type Loop } from './v8-code.ts'

export interface HotLoop {
  name: string
  /** Assembly, AT&T syntax. */
  lines: string[]
  /** Multiply-adds of a turn, in terms of the plain sum. */
  macs: number
  /** Whether a processor has its instructions. */
  runs(p: { avxVnni: boolean; wide: boolean }): boolean
}

/** What a program prints. Errors: one that fails. */
export function run(program: string, args: readonly string[], input?: string): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 30, input })
  if (status !== 0) throw new Error(`${program}: ${stderr.slice(0, 400)}`)
  return stdout
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
export function withVnni(lines: readonly string[]): string[] {
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

/** The hot loops of V8's code of the matrix products. Errors: a Node that does not print it, no LLVM. */
export function x86Loops(node: string): HotLoop[] {
  const relaxed = kernelCode([node], 'relaxed')?.get('gemm_13')
  const simd = kernelCode([node], 'simd')
  if (!relaxed || !simd) throw new Error(`${node} does not print machine code, or build/ is empty: npm run build`)
  const count = (lines: readonly string[], op: string): number => lines.filter((l) => l.includes(op)).length
  const vnni = withVnni(disassemble(hottest(relaxed, /^vpmaddubsw|^vpdpbusd/).body))
  const plain = disassemble(hottest(simd.get('gemm_0')!, /^vpmaddwd/).body)
  const winograd = disassemble(hottest(simd.get('kernel_40')!, /^vpmaddwd/).body)
  const polyphase = disassemble(hottest(simd.get('kernel_49')!, /^vpmaddwd/).body)
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
    {
      name: 'Thimble polyphase-4x8 (x86), 3x3 with stride 2 only',
      lines: polyphase,
      macs: (36 / 25) * 8 * count(polyphase, 'vpmaddwd'),
      runs: () => true,
    },
  ]
}
