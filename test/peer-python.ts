/** A Python with the tools that we compare with: set THIMBLE_PYTHON to its executable. */
import { spawnSync } from 'node:child_process'

/** Its path when it has all of the modules, else undefined. */
export function peerPython(...modules: string[]): string | undefined {
  const python = process.env.THIMBLE_PYTHON
  if (!python) return undefined
  return spawnSync(python, ['-c', modules.map((m) => `import ${m}`).join('\n')]).status === 0 ? python : undefined
}

/** Runs a script; what it prints. Throws with its last line when it fails. */
export function runPython(python: string, script: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(python, [script, ...args], { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (status !== 0) throw new Error(`${script}: ${stderr.trim().split('\n').at(-1)}`)
  return stdout
}
