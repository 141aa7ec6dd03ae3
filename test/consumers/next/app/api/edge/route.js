import { ThimbleError, loadModel } from 'thimble'

export const runtime = 'edge'
/** An edge function compiles no WebAssembly: its modules are part of it, and the package says so. */
export async function GET() {
  const error = await loadModel(new Uint8Array(8)).catch((e) => e)
  return Response.json({ known: error instanceof ThimbleError, code: error.code })
}
