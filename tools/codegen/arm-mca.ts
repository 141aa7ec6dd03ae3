/**
 * Cycles that LLVM's processor models give a run of arm64 instructions when it repeats: first-level cache hits and
 * perfect branch prediction, so a lower bound on time. Cortex-A76 has no model of its own in LLVM (it borrows the
 * A57's): read neoverse-n1, the same core.
 */
import { spawnSync } from 'node:child_process'
import type { Instruction } from './v8-code.ts'

export type Core = 'cortex-a72' | 'neoverse-n1' | 'cortex-a55' | 'cortex-a53'

const ATTRIBUTES = '-mattr=+dotprod,+v8.2a'
const REPEATS = 100

/** An LLVM tool of any version here, newer ones first. */
export function tool(name: string): string | undefined {
  return ['-19', '-20', '-18', '-17', '-16', '-15', '']
    .map((v) => name + v)
    .find((t) => spawnSync(t, ['--version']).status === 0)
}

const mc = tool('llvm-mc')
const mca = tool('llvm-mca')

/** Name of the llvm-mca found, or undefined: then `cycles` throws. */
export const mcaVersion = (): string | undefined => (mc && mca ? mca : undefined)

/** Machine code words to LLVM assembly. */
function disassemble(instructions: readonly Instruction[]): string[] {
  const words = instructions
    .map((i) =>
      (i.code.match(/../g) ?? [])
        .reverse()
        .map((b) => `0x${b}`)
        .join(' '),
    )
    .join('\n')
  const run = spawnSync(mc!, ['--disassemble', '--triple=aarch64', ATTRIBUTES], {
    input: `${words}\n`,
    encoding: 'utf8',
  })
  return run.stdout
    .split('\n')
    .map((l) => l.trim())
    .filter((l) => l && !l.startsWith('.'))
}

const known = new Map<string, number>()

/** Cycles per repetition of `instructions` in steady state. */
export function cycles(instructions: readonly Instruction[], core: Core): number {
  if (!mc || !mca) throw new Error('llvm-mc and llvm-mca are needed: install LLVM')
  if (instructions.length === 0) return 0
  const key = core + instructions.map((i) => i.code).join('')
  const before = known.get(key)
  if (before !== undefined) return before
  const input = disassemble(instructions).join('\n')
  const run = spawnSync(
    mca,
    [
      '--mtriple=aarch64',
      `-mcpu=${core}`,
      ATTRIBUTES,
      `-iterations=${REPEATS}`,
      '--instruction-info=0',
      '--resource-pressure=0',
    ],
    { input, encoding: 'utf8' },
  )
  const total = run.stdout.match(/Total Cycles:\s+(\d+)/)
  if (!total) throw new Error(`llvm-mca: ${run.stderr.slice(0, 300)}`)
  const result = Number(total[1]) / REPEATS
  known.set(key, result)
  return result
}
