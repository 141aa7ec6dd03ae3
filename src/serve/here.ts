/** Questions answered in this thread, with packed modules: what a Worker has. */
import { createClassifier } from '../classify/classifier.ts'
import { ThimbleError } from '../base/errors.ts'
import type { WasmModule } from '../base/host.ts'
import type { DecodeOptions } from '../image/limits.ts'
import { type DecodePolicy, ImageDecoder } from '../image/wasm.ts'
import { checkValue, having } from '../options/options.ts'
import { loadPackedModule } from '../engine/packed-module.ts'
import { taskOf } from '../answers/task.ts'
import type { Model } from '../graph/types.ts'
import type { PoseOptions } from '../vision/pose.ts'
import { type Ask, askerOf, described, type Opened, pictureTask, runTensors } from './ask.ts'
import {
  type Answer,
  type Answers,
  kept,
  type PictureAnswer,
  type PictureQuestion,
  type Question,
  type TaskName,
} from './questions.ts'

/** What answers are made with. */
export interface HereOptions {
  /** Modules made by `thimble pack`, by their names. The first for a task is the one it uses. */
  models: Readonly<Record<string, WasmModule>>
  /** The imported image module, `thimble/image.wasm`. */
  image: WasmModule
  /** Most pixels and bytes of memory for a picture. */
  imageLimits?: Pick<DecodeOptions, 'maxPixels' | 'maxBytes'>
  /**
   * How pictures are read to be classified; `fast` reads large JPEGs at a part of their size, which the answer says.
   */
  decode?: DecodePolicy
  /** Names of the models that describe the faces which a detector finds. */
  faces?: { landmarks?: string; ageGender?: string; expression?: string }
  /** Name of the model that finds whom the landmark networks of `pose` look at. Default: they see the whole photo. */
  finder?: string
}

/**
 * Answers with modules that the host imported: one question after the other, in this thread.
 * Errors: `usage/option`. Errors of its answers: `usage/model`, `image/…`, and those of the task.
 *
 * @example worker
 * import image from 'thimble/image.wasm'
 * import { answersOf } from 'thimble/serve'
 * import packed from './model.wasm'
 * const answers = answersOf({ models: { things: packed }, image })
 * export default {
 *   async fetch(request: Request) {
 *     const picture = new Uint8Array(await request.arrayBuffer())
 *     return Response.json((await answers.answer({ picture, model: 'things' })).fields)
 *   },
 * }
 */
export function answersOf(options: HereOptions): Answers {
  checkValue('answersOf: options', options, having('models', 'image'))
  let inside = new Inside(options)
  return {
    waiting: 0,
    busy: 0,
    end: () => Promise.resolve(),
    answer: (async (question: Question) => {
      try {
        return await inside.answer(question)
      } catch (error) {
        if (error instanceof ThimbleError) throw error
        // Not a fault that was foreseen: what was in memory is not trusted any more.
        inside = new Inside(options)
        throw new ThimbleError('image/unreadable', "this picture can't be read", { cause: error })
      }
    }) as Answers['answer'],
  }
}

/** Models and what was made of them. */
class Inside {
  private readonly options: HereOptions
  private readonly decoder: ImageDecoder
  private readonly models = new Map<string, Model>()
  private readonly askers = new Map<string, Promise<(threshold?: number) => Promise<Ask>>>()

  constructor(options: HereOptions) {
    this.options = options
    this.decoder = new ImageDecoder(options.image, { ...options.imageLimits, decode: options.decode ?? 'exact' })
  }

  async answer(question: Question): Promise<Answer> {
    if ('picture' in question) return this.picture(question)
    const model = this.model(question.model)
    return 'inputs' in question ? runTensors(model, question) : described(model)
  }

  private async picture({ task, model, picture, ...limits }: PictureQuestion): Promise<PictureAnswer> {
    const wanted = task ?? (model === undefined ? 'classify' : pictureTask(this.model(model), model))
    const name = model ?? this.firstFor(wanted)
    const asker = await kept(this.askers, `${wanted} ${name}`, () => this.open(wanted, name))
    const ask = await asker(limits.threshold)
    return { task: wanted, model: name, ...ask(picture, limits) }
  }

  private async open(task: TaskName, name: string): Promise<(threshold?: number) => Promise<Ask>> {
    const { maxPixels, maxBytes } = this.options.imageLimits ?? {}
    const limits = { ...(maxPixels && { maxPixels }), ...(maxBytes && { maxBytes }) }
    return askerOf(await this.opened(task, this.model(name)), (bytes) => this.decoder.decode(bytes, limits))
  }

  private async opened(task: TaskName, model: Model): Promise<Opened> {
    if (task === 'classify') {
      const classifier = await createClassifier(model, {
        prepare: (encoded, input, how, out) => this.decoder.prepare(encoded, input, how, out),
        prepareFrame: (frame, input, how, out) => this.decoder.prepareFrame(frame, input, how, out),
      })
      return { task, classifier, reduced: this.options.decode === 'fast' }
    }
    if (task === 'pose') return { task, model, options: await this.finderOf(model) }
    if (task !== 'faces') return { task, model, options: {} }
    const parts = Object.entries(this.options.faces ?? {}).map(([role, name]) => [role, this.model(name)])
    return { task, models: { detector: model, ...Object.fromEntries(parts) }, options: {} }
  }

  /** What finds people or hands for a landmark network. */
  private async finderOf(model: Model): Promise<Pick<PoseOptions, 'finder'>> {
    const { finder } = this.options
    const { headOf } = await import('../vision/recognise.ts')
    if (finder === undefined || headOf(model)?.kind !== 'landmarks') return {}
    const { createPoseEstimator } = await import('../vision/pose.ts')
    return { finder: await createPoseEstimator(this.model(finder)) }
  }

  /** Errors: `usage/model`. */
  private firstFor(task: TaskName): string {
    const wanted = task === 'faces' ? 'detect' : task
    const name = Object.keys(this.options.models).find((n) => taskOf(this.model(n)).command === wanted)
    if (name === undefined) throw new ThimbleError('usage/model', `no model for ${task} is here`)
    return name
  }

  /** Errors: `usage/model`, `format/packed-module`. */
  private model(name: string): Model {
    const known = this.models.get(name)
    if (known) return known
    const module = Object.hasOwn(this.options.models, name) ? this.options.models[name] : undefined
    if (!module) throw new ThimbleError('usage/model', `no model is called ${name.slice(0, 80)}`)
    const model = loadPackedModule(module)
    this.models.set(name, model)
    return model
  }
}
