/** The to-do list by index, as the plugin guide published it: `GET`, `POST` and `DELETE /todos/{username}`. */
import Router from '@koa/router'
import type { Context } from 'koa'
import type { State } from '../domain/domain.ts'
import { addTo, type Owner, ownerId } from '../domain/lists.ts'
import { refuse } from '../domain/shape.ts'
import { deleteTodo, openTodos, textWrong } from '../domain/todos.ts'
import { newId } from '../ledger/ids.ts'
import { Refused } from '../ledger/ledger.ts'
import { newKey } from '../ledger/vault.ts'
import { requireCaller } from './doors.ts'
import { jsonObject, onlyMembers } from './parse.ts'
import type { Deps } from './settings.ts'

/** ChatGPT takes at most 100,000 characters; a longer list is answered in parts. */
const MAX_ANSWER_CHARACTERS = 90_000

export function todoRoutes(deps: Deps): Router {
  const { ledger, limits, settings } = deps
  const most = { open: settings.maxOpenTodos, size: settings.maxListSize, sizeOfAll: settings.maxListsSize }
  const router = new Router({ sensitive: true, strict: true })
  const path = '/todos/:username'

  router.get(path, async (ctx) => {
    const { owner } = await requireCaller(ctx, deps, 'todos:read')
    const from = fromIndex(ctx)
    ctx.set('Cache-Control', 'no-store')
    ctx.type = 'application/json'
    ctx.body = await ledger.read((state) => page(itemsOf(state, owner, from), from))
  })

  router.post(path, async (ctx) => {
    const { owner, by, deciding, countsAs } = await requireCaller(ctx, deps, 'todos:write')
    const body = jsonObject(ctx)
    onlyMembers(body, ['todo', 'username'])
    const { todo: text } = body
    if (typeof text !== 'string') throw new Refused('todo_text_invalid')
    const wrong = textWrong(text)
    if (wrong !== undefined) throw new Refused(wrong)
    // It is kept twice: when it is added, and when it is deleted.
    await limits.take(ctx, 'write', countsAs, Math.ceil(Buffer.byteLength(text) / 512))
    const id = newId(ledger.now())
    const list = { id: newId(ledger.now()), key: newKey() }
    const input = { owner, list, todo: id, text, most }
    const index = await ledger.transact(
      by,
      deciding((state) => addTo(state, input)),
    )
    ctx.body = { id, todo: text, todo_idx: index }
  })

  router.delete(path, async (ctx) => {
    const { owner, by, deciding, countsAs } = await requireCaller(ctx, deps, 'todos:write')
    await limits.take(ctx, 'write', countsAs)
    const body = jsonObject(ctx)
    onlyMembers(body, ['todo_idx', 'todo', 'username'])
    const { todo_idx: index, todo: text } = body
    if (typeof index !== 'number' || !Number.isSafeInteger(index)) throw new Refused('todo_index_invalid')
    if (text !== undefined && typeof text !== 'string') throw new Refused('todo_text_invalid')
    const item = await ledger.transact(
      by,
      deciding((state) => {
        const user = ownerId(state, owner)
        return user === undefined ? refuse('todo_index_unknown') : deleteTodo(state, { user, index, text })
      }),
    )
    ctx.body = { id: item.id, todo: item.text }
  })

  return router
}

/** The to-dos of a list from an index on; none where nobody has written to it yet. */
function itemsOf(state: State, owner: Owner, from: number): Iterable<{ readonly text: string }> {
  const user = ownerId(state, owner)
  return user === undefined ? [] : openTodos(state, user, from)
}

function fromIndex(ctx: Context): number {
  const from = ctx.query.from ?? '0'
  if (typeof from !== 'string' || !/^\d{1,9}$/.test(from))
    throw new Refused('todo_index_invalid', '"from" must be a whole number.')
  return Number(from)
}

/**
 * The texts of a list as JSON: `{"todos":[…]}`, or as many of them as fit one answer and `"next_idx"`, where the rest
 * begins.
 * @param items those from index `from` on
 */
export function page(items: Iterable<{ readonly text: string }>, from: number): string {
  const texts: string[] = []
  let characters = '{"todos":[]}'.length - 1
  for (const { text } of items) {
    const json = JSON.stringify(text)
    texts.push(json)
    characters += json.length + 1
    if (characters > MAX_ANSWER_CHARACTERS) return partOf(texts, characters, from)
  }
  return `{"todos":[${texts.join(',')}]}`
}

/** @param texts one more than fit @param characters what the whole answer with all of them would have */
function partOf(texts: string[], characters: number, from: number): string {
  const rest = (): string => `,"next_idx":${from + texts.length}`
  // One is given in any case, or nobody would get on.
  while (texts.length > 1 && characters + rest().length > MAX_ANSWER_CHARACTERS) characters -= texts.pop()!.length + 1
  return `{"todos":[${texts.join(',')}]${rest()}}`
}
