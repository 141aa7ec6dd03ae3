/** The exported kernels of a runtime build and their machine code: an export, and the functions that only it calls. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseModule, walkBody, type WasmModule } from '../../src/pack/wasm.ts'
import { compiledCode, type CompiledFunction } from './v8-code.ts'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** What the exports of kernels and GEMM forms are. */
export const KERNEL_NAMES: Readonly<Record<string, string>> = {
  gemm_0: 'gemm-4x8',
  gemm_8: 'gemm-3x8c8',
  gemm_9: 'gemm-4x16c4-dot',
  gemm_11: 'gemm-4x8-w8',
  gemm_12: 'gemm-4x8-shuffle',
  gemm_14: 'gemm-4x8-w8-shuffle',
  gemm_13: 'gemm-4x8c4-dot',
  kernel_40: 'winograd',
  kernel_49: 'polyphase',
  kernel_5: 'depthwise-3x3',
  kernel_6: 'depthwise',
  kernel_7: 'fully-connected',
  kernel_8: 'add, mul',
  kernel_22: 'conv-direct-4x8',
  kernel_23: 'depthwise-3x3-products',
  kernel_24: 'depthwise-3x3-dot',
  kernel_26: 'depthwise-5x5',
}

/** Function indices of an export: itself, then what it calls. */
function withCallees(m: WasmModule, name: string): number[] {
  const found = m.exports.find((e) => e.kind === 'func' && e.name === name)
  if (!found) return []
  const list = [found.index]
  for (const index of list) {
    walkBody(m.functions[index - m.imports.length]!.body, (space, callee) => {
      if (space === 'func' && !list.includes(callee)) list.push(callee)
    })
  }
  return list
}

/** Machine code of each named export that the build has. */
export function kernelCode(node: readonly string[], build: string): Map<string, CompiledFunction[]> | undefined {
  const path = join(root, `build/thimble-${build}.wasm`)
  const code = existsSync(path) ? compiledCode(node, path) : undefined
  if (!code) return undefined
  const m = parseModule(readFileSync(path))
  const out = new Map<string, CompiledFunction[]>()
  for (const name of Object.keys(KERNEL_NAMES)) {
    const functions = withCallees(m, name)
      .map((i) => code.get(i))
      .filter((f) => f !== undefined)
    if (functions.length) out.set(name, functions)
  }
  return out
}

/** Where .ci/engines.sh installs to. */
export const ENGINES_FOLDER =
  process.env.THIMBLE_ENGINES ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'thimble/engines')

export const QEMU_ARM64 = '/usr/bin/qemu-aarch64'
const LIBRARIES = '/usr/aarch64-linux-gnu'

/**
 * Command that runs arm64 Node as on a given processor, under QEMU: from $THIMBLE_NODE_ARM64 (a path), else one that
 * .ci/engines.sh installed, the newest of `major` or of all.
 */
export function arm64Node(cpu: string, major?: number): readonly string[] | undefined {
  const cache = ENGINES_FOLDER
  const installed = existsSync(cache)
    ? readdirSync(cache)
        .filter((d) => d.startsWith(`node-arm64-${major ?? ''}`) && !d.endsWith('.log'))
        .sort()
    : []
  const node =
    process.env.THIMBLE_NODE_ARM64 ?? (installed.length ? join(cache, installed.at(-1)!, 'bin/node') : undefined)
  if (!node || !existsSync(node)) return undefined
  return process.arch === 'arm64'
    ? [node]
    : existsSync(QEMU_ARM64)
      ? [QEMU_ARM64, '-L', LIBRARIES, '-cpu', cpu, node]
      : undefined
}
