/** Runs a target on one input and says what is wrong with how it ended: the invariant of all readers. */
import { ThimbleError } from '../../src/base/errors.ts'
import { processorMs } from '../../test/util.ts'
import { BOUNDS, type FuzzTarget } from './target.ts'

export interface Finding {
  /** Findings with the same key are the same fault. */
  key: string
  detail: string
}

/** What an instrumented run counts; see instrument.ts. */
export interface Meter {
  arrayBytes: number
  most: number
}
const meter = (globalThis as { fuzzMeter?: Meter }).fuzzMeter

/** The frames of `error` that lie in this project, innermost first. */
const frames = (error: Error): string[] =>
  (error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .map((line) =>
      line
        .replace(/^\s+at (?:async )?/, '')
        .replace(/\(?(?:file:\/\/)?\/\S*?((?:src|tools|node_modules|test)\/[^)]*|[^/)]*)\)?$/, '$1'),
    )

function unexpected(error: unknown): Finding {
  if (!(error instanceof Error)) return { key: `thrown ${String(error)}`, detail: 'something that is no Error' }
  const where = frames(error)
  const key = `${error.constructor.name} ${where.slice(0, 3).join(' < ') || error.message}`
  return {
    key,
    detail: `${error.constructor.name}: ${error.message.slice(0, 300)}\n  ${where.slice(0, 12).join('\n  ')}`,
  }
}

/** Undefined where the input was read or refused as it should be. */
async function outcome(target: FuzzTarget, bytes: Uint8Array): Promise<Finding | undefined> {
  if (meter) Object.assign(meter, { arrayBytes: 0, most: BOUNDS.arrayBytes })
  try {
    const pending = target.run(bytes)
    if (pending instanceof Promise) await pending
  } catch (error) {
    if (!(error instanceof ThimbleError)) return unexpected(error)
    if (!/^(format|lower|plan|image|runtime|usage)\/[a-z0-9-]+: [^\n]+$/.test(error.message)) {
      return {
        key: `message ${error.code}`,
        detail: `not one line of the usual shape: ${JSON.stringify(error.message)}`,
      }
    }
  }
  return undefined
}

/**
 * The finding of an input, if it is one. What seems slow is measured again, in processor time and the best of three:
 * other processes are no finding.
 */
export async function judge(target: FuzzTarget, bytes: Uint8Array): Promise<Finding | undefined> {
  const start = performance.now()
  const finding = await outcome(target, bytes.slice())
  if (finding || performance.now() - start < BOUNDS.ms) return finding
  let least = Infinity
  for (let i = 0; i < 3 && least >= BOUNDS.ms; i++) {
    const before = processorMs()
    await outcome(target, bytes.slice())
    least = Math.min(least, processorMs() - before)
  }
  return least < BOUNDS.ms ? undefined : { key: 'slow', detail: `${least.toFixed(0)} ms, allowed are ${BOUNDS.ms}` }
}
