/** Calling the commands: in this process, or in one of their own. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { main } from '../src/cli/main.ts'
import { root } from './util.ts'

/** Exit code, standard output and error. */
export interface Result {
  code: number | null
  out: string
  err: string
}

/** The same code in this process: what the commands write is caught. */
export async function thimble(args: string[]): Promise<Result> {
  const { stdout, stderr } = process
  const [writeOut, writeErr] = [stdout.write, stderr.write]
  let out = ''
  let err = ''
  stdout.write = (text: string) => {
    out += text
    return true
  }
  stderr.write = (text: string) => {
    err += text
    return true
  }
  try {
    return { code: await main(args), out, err }
  } finally {
    stdout.write = writeOut
    stderr.write = writeErr
  }
}

/** Runs `thimble ...args` as a process of its own, with `input` on stdin. */
export function spawned(args: string[], input?: Uint8Array): Promise<Result> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'src/cli.ts'), ...args], {
      cwd: root,
      stdio: 'pipe',
    })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    child.on('close', (code) => resolve({ code, out, err }))
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}
