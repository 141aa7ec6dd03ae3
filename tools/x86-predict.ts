/**
 * Predicts the hot loops of matrix products on x86 processors with VNNI without one: V8's own machine code of the
 * kernels and XNNPACK's loops from LiteRT's library, cycles from LLVM's processor models. A prediction, never a
 * measurement: first-level cache hits, perfect branch prediction.
 *
 * Where this processor has no AVX-VNNI, V8 makes VPMADDUBSW, VPMADDWD and VPADDD of the relaxed dot product; they are
 * replaced by the VPDPBUSD that it emits elsewhere. Everything around them is as V8 made it.
 *
 * Usage: tsx tools/x86-predict.ts [--node PATH] [--library libLiteRt.so]
 * Needs: LLVM 19 (llvm-mc, llvm-mca), objdump for the library.
 */
import { spawnSync } from 'node:child_process'
import { tool } from './codegen/arm-mca.ts'
import { run, x86Loops, type HotLoop } from './codegen/x86-loops.ts'
import { table } from '../src/cli/text.ts'

/** LLVM's names; which of them V8 takes AVX-VNNI on, and which have the 512-bit form. */
const PROCESSORS = [
  { name: 'alderlake', avxVnni: true, wide: false },
  { name: 'sapphirerapids', avxVnni: true, wide: true },
  { name: 'znver4', avxVnni: false, wide: true },
  { name: 'znver5', avxVnni: true, wide: true },
]

const REPEATS = 200

const option = (name: string): string | undefined => {
  const at = process.argv.indexOf(name)
  return at < 0 ? undefined : process.argv[at + 1]
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
  const loops = [...x86Loops(option('--node') ?? process.execPath), ...(library ? theirs(library) : [])]
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
