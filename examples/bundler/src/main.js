import { createClassifier, loadModel } from 'thimble'

const classifier = await createClassifier(await loadModel('mobilenet_v2_1.0_224.thimble'))
document.querySelector('input').onchange = async ({ target }) => {
  const [best] = await classifier.classify(new Uint8Array(await target.files[0].arrayBuffer()))
  document.querySelector('output').textContent = `${best.label}, ${Math.round(best.score * 100)} %`
}
