/** The models that are bundled, by name; what each is for is in it, and the first for a task is the one it uses. */
import faces from './faces.wasm'
import things from './model.wasm'

export const MODELS = { things, faces }
