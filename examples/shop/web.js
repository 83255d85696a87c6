// The shop's web server: the catalogue, and a counter that takes orders. Plain Node, no packages.
//
//   GET  /          what there is, with prices
//   POST /orders    {"item": "tea", "count": 2}: takes an order, the workers do the rest
//   GET  /healthz   "ok"
'use strict'

const { randomUUID } = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')

const port = Number(process.env.PORT || 8080)
const shop = process.env.SHOP_NAME || 'The shop'
const spool = path.join(process.env.SHOP_DATA || 'data', 'orders')
const catalogue = JSON.parse(fs.readFileSync(path.join(__dirname, 'catalogue.json'), 'utf8'))

// A worker must never see half an order: write it under another name, then rename.
function takeOrder (text) {
  const { item, count = 1 } = JSON.parse(text)
  if (!Object.hasOwn(catalogue, item)) throw new RangeError(`we have no ${item}`)
  if (!Number.isInteger(count) || count < 1 || count > 99) throw new RangeError('count: 1 to 99')
  const id = randomUUID().slice(0, 8)
  const draft = path.join(spool, `.${id}`)
  fs.writeFileSync(draft, JSON.stringify({ id, item, count }))
  fs.renameSync(draft, path.join(spool, `${id}.json`))
  return { id, item, count }
}

function readBody (request) {
  return new Promise((resolve, reject) => {
    let text = ''
    request.setEncoding('utf8')
    request.on('data', chunk => {
      text += chunk
      if (text.length > 10_000) reject(new RangeError('that is a very long order'))
    })
    request.on('end', () => resolve(text))
    request.on('error', reject)
  })
}

async function answer (request) {
  switch (`${request.method} ${request.url}`) {
    case 'GET /': return [200, { shop, catalogue }]
    case 'GET /healthz': return [200, 'ok']
    case 'POST /orders': return [202, takeOrder(await readBody(request))]
    default: return [404, { error: 'not found' }]
  }
}

const server = http.createServer(async (request, response) => {
  const [status, body] = await answer(request).catch(error =>
    error instanceof SyntaxError || error instanceof RangeError
      ? [400, { error: error.message }]
      : (console.error(error), [500, { error: 'something broke' }]))
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body) + '\n')
  console.log(`${request.method} ${request.url} ${status}`)
})

server.listen(port, () => console.log(`${shop} is open on port ${port}`))

// Drain: take no new connections, answer what is under way, then go.
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    console.log(`${signal}: closing`)
    server.close(() => process.exit(0))
    server.closeIdleConnections?.()
  })
}
