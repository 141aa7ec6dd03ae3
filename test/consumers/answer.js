import { createClassifier, loadModel } from 'thimble'

/** The two best answers about the photo of a cat, in a page or a worker; `base` is where model and photo are. */
export async function answer(base) {
  const model = await loadModel(`${base}model.thimble`)
  const classifier = await createClassifier(model, { topK: 2 })
  const photo = await (await fetch(`${base}cat.jpg`)).arrayBuffer()
  return JSON.stringify(await classifier.classify(new Uint8Array(photo)))
}
