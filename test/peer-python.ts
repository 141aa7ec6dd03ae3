/** A Python with the tools that we compare with: THIMBLE_PYTHON's, or the one that .ci/engines.sh gives LiteRT. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ENGINES } from './engines/engines.ts'

const CANDIDATES = [process.env.THIMBLE_PYTHON, join(ENGINES, 'bin/python-litert')]

/** The path of the first that has all of the modules, else undefined. */
export const peerPython = (...modules: string[]): string | undefined =>
  CANDIDATES.find((python): python is string => {
    if (!python || !existsSync(python)) return false
    return spawnSync(python, ['-c', modules.map((m) => `import ${m}`).join('\n')]).status === 0
  })

/** LiteRT in a Python with NumPy. */
export const litertPython = (): string | undefined => peerPython('numpy', 'ai_edge_litert.interpreter')

/** What `need` is told where there is none. */
export const LITERT_MISSING = 'a Python with ai-edge-litert: .ci/engines.sh litert, or THIMBLE_PYTHON'

/** Runs a script; what it prints. Throws with its last line when it fails. */
export function runPython(python: string, script: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(python, [script, ...args], { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (status !== 0) throw new Error(`${script}: ${stderr.trim().split('\n').at(-1)}`)
  return stdout
}
