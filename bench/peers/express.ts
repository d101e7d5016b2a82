/** The yardstick: a bare to-do server in memory, as the tutorials of 2023 had it. No accounts, nothing kept. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express from 'express'

const todos: { [username: string]: string[] } = {}

const app = express()
app.use(express.json())

app.get('/todos/:username', (req, res) => {
  res.json({ todos: todos[req.params.username] ?? [] })
})

app.post('/todos/:username', (req, res) => {
  todos[req.params.username] ??= []
  todos[req.params.username]!.push(req.body.todo)
  res.send('OK')
})

app.delete('/todos/:username', (req, res) => {
  todos[req.params.username]?.splice(req.body.todo_idx, 1)
  res.send('OK')
})

const server = app.listen(0, '127.0.0.1')
await once(server, 'listening')
process.stdout.write(`${(server.address() as AddressInfo).port}\n`)
