/** Serves one runner from a Node process: JSON lines on stdin, answers on stdout. argv: path of the runner's module. */
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { Driver, type Network } from '../drive.ts'

const driver = new Driver(
  () => import(process.argv[2]!),
  async (path) => new Uint8Array(await readFile(path)),
)
const baseRss = process.memoryUsage.rss()

const commands: Record<string, (args: any) => unknown> = {
  open: (a: { network: Network; input: string }) => driver.open(a.network, a.input),
  block: (a: { budgetMs: number; maxRuns: number }) => driver.block(a.budgetMs, a.maxRuns),
  answer: (a: { input: string }) => driver.answer(a.input),
  memory: () => ({ baseBytes: baseRss, peakBytes: process.resourceUsage().maxRSS * 1024 }),
  close: () => {
    driver.close()
    process.exit(0)
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...args } = JSON.parse(line)
  let answer: object
  try {
    answer = { value: await commands[op]!(args) }
  } catch (error) {
    answer = { error: String((error as Error)?.message ?? error) }
  }
  process.stdout.write(`\n@${JSON.stringify(answer)}\n`)
}
