/** The script of a worker thread of `watch` and `serve`: answers question after question. */
import { parentPort, workerData } from 'node:worker_threads'
import { ThimbleError } from '../base/errors.ts'
import type { TypedArray } from '../graph/types.ts'
import { Answerer } from './answers.ts'
import type { Asked, Reply } from './answer-pool.ts'
import type { Args } from './command.ts'

const answerer = new Answerer(workerData as Args)

async function reply({ id, question }: Asked): Promise<Reply> {
  try {
    return { id, answer: await answerer.answer(question) }
  } catch (error) {
    const code = error instanceof ThimbleError ? error.code : 'runtime/internal'
    return { id, code, message: error instanceof Error ? error.message : String(error) }
  }
}

parentPort!.on('message', (asked: Asked) => {
  void reply(asked).then((answered) => {
    const outputs: TypedArray[] =
      'answer' in answered && 'outputs' in answered.answer ? (answered.answer.outputs as TypedArray[]) : []
    const moved = outputs.every((o) => ArrayBuffer.isView(o)) ? outputs.map((o) => o.buffer as ArrayBuffer) : []
    parentPort!.postMessage(answered, [...new Set(moved)])
  })
})
