import { readFile } from 'node:fs/promises'
import { createClassifier, loadModel } from 'thimble'

export const dynamic = 'force-dynamic'
export async function GET() {
  const classifier = await createClassifier(await loadModel('public/model.thimble'), { topK: 2 })
  return Response.json(classifier.classify(await readFile('public/cat.jpg')))
}
