/**
 * `thimble watch` on clips of 640x480: frames a second beside what preprocessing and inference of one frame allow, and
 * the time from a frame's last byte to its answer beside its inference. Forms and rounds take turns; the best round
 * counts, since what else the machine does only slows.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { describe, processor } from '../src/cli/processor.ts'
import { decodeImage } from '../src/image/decode.ts'

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url))
/** weights/samples/astronaut.jpg, 640x480, quality 80, 4:2:0 (Pillow), as cameras send them. */
const FRAME = new Uint8Array(readFileSync(new URL('frame-640x480.jpg', import.meta.url)))
const [WIDTH, HEIGHT] = [640, 480]
const FRAMES = 100
/** Frames that are not counted: models are loaded, code is compiled. */
const WARM = 20
const ROUNDS = 5
const PACED = 20
const PAUSE_MS = 120

interface Line {
  at: number
  timings: { decodeMs: number; preprocessMs: number; inferMs: number }
}

/** BT.601, video range. */
function nv12Of(rgb: Uint8Array | Uint8ClampedArray): Uint8Array {
  const out = new Uint8Array(WIDTH * HEIGHT * 1.5)
  for (let i = 0; i < WIDTH * HEIGHT; i++) {
    const [r, g, b] = rgb.subarray(3 * i, 3 * i + 3) as unknown as [number, number, number]
    out[i] = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    const [x, y] = [i % WIDTH, Math.floor(i / WIDTH)]
    if (x % 2 || y % 2) continue
    const at = WIDTH * HEIGHT + (y / 2) * WIDTH + x
    out[at] = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    out[at + 1] = 128 + 0.439 * r - 0.368 * g - 0.071 * b
  }
  return out
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

/** One run of watch: `feed` writes frames to it, `lines` has what it said and when. */
async function watched(
  args: string[],
  feed: (write: (frame: Uint8Array) => Promise<number>) => Promise<void>,
): Promise<Line[]> {
  const child = spawn(process.execPath, [CLI, 'watch', '-', '--json', ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines: Line[] = []
  let rest = ''
  child.stdout.on('data', (chunk: Buffer) => {
    const at = performance.now()
    const parts = (rest + chunk.toString()).split('\n')
    rest = parts.pop()!
    for (const part of parts) lines.push({ at, ...(JSON.parse(part) as { timings: Line['timings'] }) })
  })
  const ended = new Promise((resolve) => child.on('close', resolve))
  child.stdin.on('error', () => {})
  await feed((frame) => new Promise((resolve) => void child.stdin.write(frame, () => resolve(performance.now()))))
  child.stdin.end()
  await ended
  return lines
}

/** Frames a second when the source waits, and what preprocessing and inference of one thread would allow. */
async function throughput(args: string[], frame: Uint8Array): Promise<{ got: number; allowed: number }> {
  const run = async (jobs: string): Promise<Line[]> => {
    const lines = await watched([...args, '--every', '--jobs', jobs], async (write) => {
      for (let i = 0; i < FRAMES; i++) await write(frame)
    })
    return lines.slice(WARM)
  }
  const single = await run('1')
  const own = await run(String(Math.min(2, availableParallelism())))
  return {
    got: (1000 * (own.length - 1)) / (own.at(-1)!.at - own[0]!.at),
    allowed: 1000 / Math.min(...single.map(({ timings: t }) => t.preprocessMs + t.inferMs)),
  }
}

/** Milliseconds from a frame's last byte to its line, less its inference; frames come one by one. */
async function delay(args: string[], frame: Uint8Array): Promise<number> {
  const sent: number[] = []
  const lines = await watched([...args, '--every'], async (write) => {
    // A JPEG ends with its last byte; so does a raw frame.
    for (let i = 0; i < WARM + PACED; i++) {
      sent.push(await write(frame))
      await new Promise((resolve) => setTimeout(resolve, i < 2 ? 1500 : PAUSE_MS))
    }
  })
  return median(lines.map(({ at, timings }, i) => at - sent[i]! - timings.inferMs).slice(WARM))
}

/** Prints a table. */
export async function benchWatch(model: string): Promise<void> {
  const forms = [
    { name: 'MJPEG', args: ['--model', model], frame: FRAME },
    {
      name: 'NV12',
      args: ['--model', model, '--size', `${WIDTH}x${HEIGHT}`, '--format', 'nv12'],
      frame: nv12Of(decodeImage(FRAME).data),
    },
  ].map((form) => ({ ...form, rounds: [] as { got: number; allowed: number; delayMs: number }[] }))
  for (let round = 0; round < ROUNDS; round++) {
    for (const form of forms) {
      const { got, allowed } = await throughput(form.args, form.frame)
      form.rounds.push({ got, allowed, delayMs: await delay(form.args, form.frame) })
    }
  }
  console.log(`thimble watch, ${model}, ${WIDTH}x${HEIGHT}; ${describe(processor())}, Node ${process.versions.node}\n`)
  console.log('| | frames a second | allowed by preprocess + inference | share | frame to answer, less inference |')
  console.log('|---|--:|--:|--:|--:|')
  for (const { name, rounds } of forms) {
    const got = Math.max(...rounds.map((r) => r.got))
    const allowed = Math.max(...rounds.map((r) => r.allowed))
    const late = Math.min(...rounds.map((r) => r.delayMs))
    console.log(
      `| ${name} | ${got.toFixed(1)} | ${allowed.toFixed(1)} | ${(got / allowed).toFixed(2)} | ${late.toFixed(1)} ms |`,
    )
  }
}
