/** The page at /: a photo in, the answer beside it. */
export const PAGE = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Thimble</title><style>body{font:16px system-ui;max-width:48rem;margin:2rem auto;padding:0 1rem}img{max-width:100%}pre{overflow:auto;background:#8882;padding:1rem}</style>
<h1>Thimble</h1><p><label>Task <select id="task"><option>classify<option>detect<option>faces<option>pose<option>segment</select></label>
<label>Photo <input id="file" type="file" accept="image/*"></label></p><p><img id="photo" alt=""></p><pre id="answer" aria-live="polite">Choose a photo.</pre>
<script>
const at = (id) => document.getElementById(id)
async function ask() {
  const file = at('file').files[0]
  if (!file) return
  at('photo').src = URL.createObjectURL(file)
  at('answer').textContent = '…'
  const response = await fetch('/' + at('task').value, { method: 'POST', body: file })
  at('answer').textContent = JSON.stringify(await response.json(), null, 2)
}
at('file').onchange = at('task').onchange = ask
</script></html>
`
