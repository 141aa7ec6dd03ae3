/**
 * Records LiteRT's answers for the networks that this repository carries or builds itself, so that a clone alone can
 * prove the claim of equal bytes: test/goldens/models.json.
 *
 *   npm run goldens              records again (the file is the same unless a network changed)
 *   npm run goldens -- --fresh   asks LiteRT and Thimble about new random inputs and compares, in every variant and
 *   plan
 *
 * Needs a Python with ai-edge-litert 2.3.0 and numpy: THIMBLE_PYTHON, else `python3`.
 */
import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { goldenCases, goldenNetworks, type GoldenNetwork } from '../../test/golden-networks.ts'
import { loadModel } from '../../src/node.ts'

const FILE = fileURLToPath(new URL('../../test/goldens/models.json', import.meta.url))
/** Outputs up to this many bytes are kept whole, so that a difference can be looked at; of others the SHA-256. */
const WHOLE_BYTES = 4096

const python = process.env.THIMBLE_PYTHON ?? 'python3'

/** LiteRT's outputs by `NETWORK.CASE`, and its version. */
function askLiteRt(
  networks: readonly GoldenNetwork[],
  seed: number,
): { version: string; answers: Map<string, Buffer[]> } {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-goldens-'))
  try {
    for (const n of networks) {
      writeFileSync(join(folder, `${n.name}.tflite`), n.tflite)
      for (const c of goldenCases(n, seed)) {
        c.inputs.forEach((x, k) =>
          writeFileSync(join(folder, `${n.name}.${c.name}.in${k}.bin`), new Uint8Array(x.buffer)),
        )
      }
    }
    const script = fileURLToPath(new URL('litert.py', import.meta.url))
    const version = execFileSync(python, [script, folder], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
    const answers = new Map(
      networks.flatMap((n) =>
        goldenCases(n, seed).map((c) => [
          `${n.name}.${c.name}`,
          n.graph.outputs.map((_, k) => readFileSync(join(folder, `${n.name}.${c.name}.out${k}.bin`))),
        ]),
      ),
    )
    return { version: version.trim().split('\n').at(-1)!, answers }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function record(networks: readonly GoldenNetwork[]): void {
  const { version, answers } = askLiteRt(networks, 1)
  const keep = (bytes: Buffer): string =>
    bytes.length <= WHOLE_BYTES
      ? bytes.toString('base64')
      : `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  const models = Object.fromEntries(
    networks.map((n) => [
      n.name,
      Object.fromEntries(goldenCases(n, 1).map((c) => [c.name, answers.get(`${n.name}.${c.name}`)!.map(keep)])),
    ]),
  )
  const madeBy = `ai-edge-litert ${version}, default interpreter, one thread`
  writeFileSync(FILE, `${JSON.stringify({ madeBy, seed: 1, models }, null, 1)}\n`)
  console.log(`${FILE}: ${networks.length} networks, ${answers.size} answers of ${madeBy}`)
}

async function compare(networks: readonly GoldenNetwork[]): Promise<void> {
  const seed = 2 + Math.floor(Math.random() * 2 ** 31)
  const { version, answers } = askLiteRt(networks, seed)
  let equal = 0
  const different: string[] = []
  for (const n of networks) {
    for (const variant of ['simd', 'scalar'] as const) {
      for (const plan of ['speed', 'size'] as const) {
        const model = await loadModel(n.tflite, { variant, plan })
        for (const c of goldenCases(n, seed)) {
          const got = model.run(c.inputs)
          const want = answers.get(`${n.name}.${c.name}`)!
          const same = got.every((o, k) => Buffer.from(o.buffer, o.byteOffset, o.byteLength).equals(want[k]!))
          if (same) equal++
          else different.push(`${n.name} ${c.name} ${variant} ${plan}`)
        }
        model.dispose()
      }
    }
  }
  for (const d of different) console.log(`DIFFERENT ${d}`)
  console.log(`${equal} answers equal, ${different.length} different; ai-edge-litert ${version}, seed ${seed}`)
  if (different.length) process.exitCode = 1
}

const networks = goldenNetworks()
if (process.argv.includes('--fresh')) await compare(networks)
else record(networks)
