/** What packing chooses where nothing is asked for: the smaller of two plans; what a component does with pictures. */
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readModel } from '../src/formats/index.ts'
import { packGraph } from '../src/pack/pack.ts'
import { HEADS } from './head-networks.ts'
import { network } from './plan-networks.ts'
import { equalBytes } from './util.ts'

test('a scalar module is planned both ways, and takes the one that needs less memory', async () => {
  const chosen = new Set<string>()
  for (let seed = 0; seed < 30 && chosen.size < 2; seed++) {
    const graph = network(seed, 3 + (seed % 4))
    const [none, speed, size] = await Promise.all(
      ([undefined, 'speed', 'size'] as const).map((plan) => packGraph(graph, { variant: 'scalar', plan })),
    )
    const takes = (of: typeof none): number => {
      const { planBytes, weightBytes, stateBytes, arenaBytes } = of!.sizes
      return planBytes + weightBytes + stateBytes + arenaBytes
    }
    const wanted = takes(size) < takes(speed) ? 'size' : 'speed'
    if (Math.abs(takes(size) - takes(speed)) < 64) continue
    // They differ in nothing but the plan.
    equalBytes(none!.wasm, (wanted === 'size' ? size : speed)!.wasm, `network ${seed}: ${wanted}`)
    if (Buffer.compare(size!.wasm, speed!.wasm) !== 0) chosen.add(wanted)
  }
  assert.ok(chosen.has('size'), 'one whose smaller plan is taken')
})

test('a component finds things in pictures where its module reads the head, and takes raw tensors where not', async () => {
  const wit = async (graph: Parameters<typeof packGraph>[0], raw = false): Promise<string> =>
    (await packGraph(graph, { target: 'component', variant: 'scalar', raw })).wit!
  const yolo = HEADS['yolo8 rows, letterbox']!
  assert.match(await wit(yolo), /^  detect: func\(image: list<u8>\)/m)
  assert.not.match(await wit(yolo, true), /image: list/)
  // BlazeFace's anchors are nothing that such modules know.
  const file = readFileSync(new URL('../weights/blazeface_short_128.thimble', import.meta.url))
  const faces = await wit(readModel(new Uint8Array(file)))
  assert.match(faces, /^  run: func\(input: list<s8>\)/m)
  assert.not.match(faces, /detect:/)
  const plain = await wit(network(1, 2))
  assert.match(plain, /^  run: /m)
  assert.not.match(plain, /classify:|detect:/)
})

test.run()
