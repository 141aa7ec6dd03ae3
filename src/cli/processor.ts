/** The processor that a measurement is of, with what decides how fast 8-bit models run on it. */
import { readFileSync } from 'node:fs'
import { arch, cpus } from 'node:os'

export interface Processor {
  name: string
  arch: string
  cores: number
  /**
   * Vector extensions that matter here, as Linux has them in /proc/cpuinfo; undefined where the system does not tell.
   */
  features: string[] | undefined
}

/** By the names of /proc/cpuinfo: x86's and arm64's. */
const NAMES: Readonly<Record<string, string>> = {
  sse4_1: 'SSE4.1',
  avx: 'AVX',
  avx2: 'AVX2',
  avx_vnni: 'AVX-VNNI',
  avx512bw: 'AVX-512',
  avx512_vnni: 'AVX-512 VNNI',
  asimd: 'NEON',
  asimddp: 'dot product',
  i8mm: 'I8MM',
  sve: 'SVE',
}

/** The features that one processor's part of /proc/cpuinfo names. */
export function featuresOf(cpuinfo: string): string[] | undefined {
  const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(/\s+/)
  return flags && Object.keys(NAMES).flatMap((flag) => (flags.includes(flag) ? NAMES[flag]! : []))
}

/** The name that a board gives itself, where the processor has none: `Raspberry Pi 5 Model B Rev 1.0`. */
function boardName(): string | undefined {
  try {
    return readFileSync('/proc/device-tree/model', 'utf8').replace(/\0.*$/s, '').trim() || undefined
  } catch {
    return undefined
  }
}

function cpuinfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8')
  } catch {
    return ''
  }
}

export function processor(): Processor {
  const all = cpus()
  const name = all[0]?.model.trim()
  return {
    name: (!name || name === 'unknown' ? undefined : name) ?? boardName() ?? arch(),
    arch: arch(),
    cores: all.length,
    features: featuresOf(cpuinfo()),
  }
}

/** `AMD EPYC, x64, 2 cores; AVX, AVX2, no VNNI`. */
export function describe({ name, arch, cores, features }: Processor): string {
  const what = features?.length ? features.join(', ') : 'vector extensions not known'
  const missing = features && arch === 'x64' && !features.some((f) => f.includes('VNNI')) ? ', no VNNI' : ''
  return `${name}, ${arch}, ${cores} ${cores === 1 ? 'core' : 'cores'}; ${what}${missing}`
}
