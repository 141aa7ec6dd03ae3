/** The script of one thread: opens both models, then answers for photo after photo. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Args } from '../../src/cli/command.ts'
import type { Graph } from '../../src/graph/graph.ts'
import { type Compared, openSides } from './sides.ts'

/** What a thread is started with, asked and answers. */
export interface Start {
  args: Args
  float: Graph | undefined
}
export interface Question {
  id: number
  file: string
}
export type Reply = { id: number } & ({ compared: Compared } | { error: string })

if (parentPort) {
  const { args, float } = workerData as Start
  const sides = openSides(args, float)
  parentPort.on('message', ({ id, file }: Question) => {
    void sides
      .then(
        (compare): Reply => ({ id, compared: compare(file) }),
        // The main thread has opened the same models before.
        (error: unknown): Reply => ({ id, error: String(error) }),
      )
      .catch((error: unknown): Reply => ({ id, error: error instanceof Error ? error.message : String(error) }))
      .then((reply) => parentPort!.postMessage(reply))
  })
}
