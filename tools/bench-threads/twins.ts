/** What this machine gives to several threads at best, and what LiteRT makes of it. */
import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const answer = async (child: ChildProcess): Promise<number> => Number((await once(child, 'message'))[0])

/** Shortest milliseconds of a run: of one process that has the machine to itself, and of several at once. */
export async function sideBySide(
  model: string,
  processes: number,
  seconds: number,
): Promise<{ alone: number; together: number[] }> {
  const children = Array.from({ length: processes }, () => fork(here('twin.ts'), [model]))
  try {
    await Promise.all(children.map(answer))
    const run = (some: readonly ChildProcess[], time: number): Promise<number[]> => {
      const answers = some.map(answer)
      for (const child of some) child.send(time)
      return Promise.all(answers)
    }
    const alone = Math.min(...(await run(children.slice(0, 1), seconds)))
    return { alone, together: await run(children, seconds) }
  } finally {
    for (const child of children) child.kill()
  }
}

const PYTHON = process.env.THIMBLE_PYTHON ?? join(homedir(), '.cache/thimble/engines/bin/python-litert')

/** The same of LiteRT with one thread and with several; undefined where it is not there or does not read the file. */
export function litertThreads(
  path: string,
  threads: number,
  seconds: number,
): { one: number; many: number } | undefined {
  if (!existsSync(PYTHON) || !path.endsWith('.tflite')) return undefined
  const { status, stdout } = spawnSync(PYTHON, [here('litert.py'), path, String(threads), String(seconds)], {
    encoding: 'utf8',
  })
  if (status !== 0) return undefined
  const [one, many] = JSON.parse(stdout) as [number, number]
  return { one, many }
}
