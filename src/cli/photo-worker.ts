/** The script of a worker thread: opens a model, then answers for photo after photo. */
import { parentPort, workerData } from 'node:worker_threads'
import { ThimbleError } from '../base/errors.ts'
import { fileFeatures } from './base-features.ts'
import { classifierOf, classifyBytes, openNamed } from './classify.ts'
import { readFile } from './files.ts'
import type { Answer, Question, Reply, WorkerStart } from './photo-workers.ts'

type Look = (bytes: Uint8Array, file: string) => Answer | Promise<Int8Array>

async function looking(start: WorkerStart): Promise<Look> {
  if (start.task === 'features') return fileFeatures(start.base, start.name)
  const { args, model } = start
  const classifier = await classifierOf(args, openNamed(args))
  return (bytes, file) => classifyBytes(classifier, bytes, { file, model }, args)
}

const look = looking(workerData as WorkerStart)

async function answer({ id, file }: Question): Promise<Reply> {
  try {
    return { id, answer: await (await look)(readFile(file), file) }
  } catch (error) {
    const code = error instanceof ThimbleError ? error.code : 'runtime/internal'
    return { id, code, message: error instanceof Error ? error.message : String(error) }
  }
}

parentPort!.on('message', (question: Question) => {
  void answer(question).then((reply) => parentPort!.postMessage(reply))
})
