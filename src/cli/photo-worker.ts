/** The script of a worker thread of `classify`: opens the model, then answers for photo after photo. */
import { parentPort, workerData } from 'node:worker_threads'
import { ThimbleError } from '../errors.ts'
import { classifierOf, classifyBytes, openNamed } from './classify.ts'
import { readFile } from './files.ts'
import type { Question, Reply, WorkerStart } from './photo-workers.ts'

const { args, model } = workerData as WorkerStart
const classifier = classifierOf(args, openNamed(args))

async function answer({ id, file }: Question): Promise<Reply> {
  try {
    return { id, answer: classifyBytes(await classifier, readFile(file), { file, model }, args) }
  } catch (error) {
    const code = error instanceof ThimbleError ? error.code : 'runtime/internal'
    return { id, code, message: error instanceof Error ? error.message : String(error) }
  }
}

parentPort!.on('message', (question: Question) => {
  void answer(question).then((reply) => parentPort!.postMessage(reply))
})
