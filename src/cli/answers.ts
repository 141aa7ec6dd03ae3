/** Questions answered with the models that a command line names: what `watch`, `serve` and their threads share. */
import { decodeImage } from '../image/decode.ts'
import { type Ask, askerOf, described, type Opened, pictureTask, runTensors } from '../serve/ask.ts'
import {
  type Answer,
  type DescribeQuestion,
  type Description,
  kept,
  type PictureAnswer,
  type PictureQuestion,
  type Question,
  type TaskName,
  type TensorAnswer,
  type TensorQuestion,
} from '../serve/questions.ts'
import { maxPixels } from './preprocessing.ts'
import type { Model } from '../graph/types.ts'
import type { Args } from './command.ts'
import { load, loadOptions } from './models.ts'
import { modelFor, type ModelFile, openModel } from './shipped.ts'

/** What a shipped model's entry calls the task. */
const SHIPPED_TASK: Record<TaskName, string> = {
  classify: 'classification',
  detect: 'detection',
  faces: 'faces',
  pose: 'pose',
  segment: 'segmentation',
}

interface Asker {
  /** The model's. */
  name: string
  at: (threshold?: number) => Promise<Ask>
}

/** Answers questions one after the other; models are opened when they are first asked for, and stay. */
export class Answerer {
  private readonly args: Args
  private readonly askers = new Map<string, Promise<Asker>>()
  private readonly models = new Map<string, Promise<Model>>()

  /** `args`: what applies to every model, such as --threads. */
  constructor(args: Args) {
    this.args = args
  }

  /** Errors: those of the task's command. */
  answer(question: PictureQuestion): Promise<PictureAnswer>
  answer(question: TensorQuestion): Promise<TensorAnswer>
  answer(question: DescribeQuestion): Promise<Description>
  answer(question: Question): Promise<Answer>
  async answer(question: Question): Promise<Answer> {
    if ('picture' in question) return this.picture(question)
    const model = await this.model(question.model)
    return 'inputs' in question ? runTensors(model, question) : described(model)
  }

  private async picture({ task, model, picture, ...limits }: PictureQuestion): Promise<PictureAnswer> {
    const wanted = task ?? (model === undefined ? 'classify' : pictureTask(await this.model(model), model))
    const { name, at } = await kept(this.askers, `${wanted} ${model ?? ''}`, () => this.open(wanted, model))
    const ask = await at(limits.threshold)
    return { task: wanted, model: name, ...ask(picture, limits) }
  }

  private async open(task: TaskName, model?: string): Promise<Asker> {
    const file = modelFor(model, SHIPPED_TASK[task])
    const at = askerOf(await this.opened(task, file), (bytes) =>
      decodeImage(bytes, { maxPixels: maxPixels(this.args) }),
    )
    return { name: file.name, at }
  }

  private async opened(task: TaskName, file: ModelFile): Promise<Opened> {
    if (task === 'classify') {
      const { classifierOf } = await import('./classify.ts')
      return { task, classifier: await classifierOf(this.args, file) }
    }
    const { openVision } = await import('./photos.ts')
    const { model, options } = await openVision(this.args, file)
    if (task === 'pose') {
      const { openFinder } = await import('./finder.ts')
      return { task, model, options: { ...options, ...(await openFinder(this.args, model)) } }
    }
    if (task !== 'faces') return { task, model, options }
    const { openFaces } = await import('./faces.ts')
    return { task, models: { detector: model, ...(await openFaces(this.args)) }, options }
  }

  private model(name: string): Promise<Model> {
    return kept(this.models, name, () => load(openModel(name), loadOptions(this.args)))
  }
}
