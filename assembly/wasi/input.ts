/** The decoded picture -> the model's input, as the configuration says. */
import { fillInput as fill, InputPlan } from '../image/input'
import { pictureHeight, pictureWidth } from '../image/result'
import { thimble_input_ptr } from '../exec'
import { settings } from './settings'
import { place, placePicture } from './placement'

const plan = changetype<InputPlan>(memory.data(offsetof<InputPlan>(), 8))

/** Fills input 0; false when there is no memory. */
export function fillInput(): bool {
  const s = settings()
  placePicture(pictureWidth, pictureHeight)
  plan.inputWidth = s.inputWidth
  plan.inputHeight = s.inputHeight
  plan.inputChannels = s.inputChannels
  plan.nchw = s.nchw
  plan.bgr = s.bgr
  plan.gray = s.gray
  plan.method = s.method
  plan.tables = s.tables
  plan.inputBytes = s.inputBytes
  plan.out = <u32>thimble_input_ptr(0)
  plan.width = place.width
  plan.height = place.height
  plan.cropX = place.cropX
  plan.cropY = place.cropY
  plan.countX = place.countX
  plan.countY = place.countY
  plan.padX = place.padX
  plan.padY = place.padY
  return fill(plan)
}
