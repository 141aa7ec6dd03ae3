/** `createLearner` for the public entry point: what teaches, the compiler with it, is loaded when somebody does. */
import type { BaseModel, Learner, LearnerOptions } from './learner.ts'

/**
 * The learned classes from photos: `createLearner(base)`, `add` photos, `train`, then `classify` or `export`. A file
 * that was exported with its photos goes on where it was.
 * Errors: `usage/source`, `usage/base`, `usage/option`, and those of reading a model file.
 *
 * @example
 * import { readFile } from 'node:fs/promises'
 * import { createLearner } from 'thimble/vision'
 * using learner = await createLearner(await readFile('model.thimble'))
 * await learner.add('cat', await readFile('photo.jpg'))
 * await learner.add('cup', await readFile('coffee.jpg'))
 * await learner.train()
 * const [best] = await learner.classify(await readFile('photo.jpg'))
 * console.log(best!.label, learner.export('tflite').length, 'bytes')
 */
export async function createLearner(model: BaseModel, options: LearnerOptions = {}): Promise<Learner> {
  return (await import('./learner.ts')).createLearner(model, options)
}
