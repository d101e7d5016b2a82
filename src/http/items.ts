/** To-dos by id: the list, one to-do, its changes, and several at once: `/todos/{username}/items…`. */
import Router from '@koa/router'
import type { Context } from 'koa'
import { Refused } from '../ledger/refused.ts'
import type { ListCaller } from '../service/authentication.ts'
import { sentence } from '../service/refusals.ts'
import {
  type BatchResult,
  etagOf,
  type Item,
  type Place,
  READ,
  type Safely,
  type Todos,
  WRITE,
} from '../service/todos.ts'
import { JSON_TYPE, MAX_BATCH_BYTES, MERGE_PATCH_TYPE, readJson } from './body.ts'
import { requireListCaller } from './callers.ts'
import { type Body, changeOf, draftOf, idsOf, keyOf, optionalText, queryOf, requiredText } from './members.ts'
import { jsonObject, onlyMembers } from './parse.ts'
import type { Deps } from './settings.ts'

const PATH = '/todos/:username/items'
const BATCH_PATH = '/todos/:username/batch'
/** A text and notes of 10,000 code points, each written as two `\uXXXX` (240 kB), and 60 kB for the rest. */
const MAX_ITEM_BYTES = 300 * 1024
const ITEM_MEMBERS = ['todo', 'due', 'priority', 'notes']
/** A merge patch (RFC 7396), by its own name or as JSON. */
const PATCH_TYPES = [JSON_TYPE, MERGE_PATCH_TYPE]
const QUERY = ['query', 'state', 'due_before', 'due_after', 'sort', 'limit', 'cursor']

export function itemRoutes(deps: Deps): Router {
  const { todos } = deps.services
  const bodyOf = bodyReader(deps)
  const router = new Router({ sensitive: true, strict: true })

  router.get(PATH, async (ctx) => {
    const caller = await requireListCaller(ctx, deps, READ)
    const { limit, ...texts } = Object.fromEntries(queryOf(ctx, QUERY))
    ctx.set('Cache-Control', 'no-store')
    ctx.body = await todos.find(caller, limit === undefined ? texts : { ...texts, limit: wholeNumber('limit', limit) })
  })

  router.post(PATH, async (ctx) => {
    const caller = await requireListCaller(ctx, deps, WRITE)
    queryOf(ctx, [])
    const body = await bodyOf(ctx, caller, [...ITEM_MEMBERS, 'username'])
    const { items } = await todos.add(caller, [draftOf(body)], keyOf(ctx))
    ctx.status = 201
    ctx.set('Location', `${deps.settings.publicUrl}${ctx.path}/${items[0]!.id}`)
    answerItem(ctx, items[0]!)
  })

  router.post(BATCH_PATH, async (ctx) => {
    const caller = await requireListCaller(ctx, deps, WRITE)
    queryOf(ctx, [])
    const body = await bodyOf(ctx, caller, ['action', 'ids', 'items', 'username'], { limit: MAX_BATCH_BYTES })
    if (ctx.get('if-match') !== '') throw new Refused('batch_invalid', 'If-Match is for one to-do, not for a batch.')
    const { action } = body
    if (typeof action !== 'string' || !Object.hasOwn(actions, action))
      throw new Refused('batch_invalid', `"action" must be one of ${Object.keys(actions).join(', ')}.`)
    ctx.set('Cache-Control', 'no-store')
    ctx.body = await actions[action as Action](todos, caller, body, keyOf(ctx))
  })

  router.get(`${PATH}/:id`, async (ctx) => {
    const caller = await requireListCaller(ctx, deps, READ)
    queryOf(ctx, [])
    const item = await todos.get(caller, String(ctx.params.id))
    answerItem(ctx, item)
    if (!isKnown(ctx, item)) return
    ctx.body = null
    ctx.status = 304
  })

  router.patch(`${PATH}/:id`, async (ctx) => {
    const caller = await requireListCaller(ctx, deps, WRITE)
    queryOf(ctx, [])
    const body = await bodyOf(ctx, caller, [...ITEM_MEMBERS, 'done', 'username'], { types: PATCH_TYPES })
    answerItem(ctx, await todos.change(caller, String(ctx.params.id), changeOf(body), safelyOf(ctx)))
  })

  router.delete(`${PATH}/:id`, async (ctx) => {
    const caller = await requireListCaller(ctx, deps, WRITE)
    queryOf(ctx, [])
    await deps.fairUse.begin(ctx) // A body means nothing here.
    ctx.set('Cache-Control', 'no-store')
    ctx.body = await todos.deleteOne(caller, String(ctx.params.id), safelyOf(ctx))
  })

  router.post(`${PATH}/:id/move`, async (ctx) => {
    const caller = await requireListCaller(ctx, deps, WRITE)
    queryOf(ctx, [])
    const body = await bodyOf(ctx, caller, ['before', 'after', 'position', 'username'])
    answerItem(ctx, await todos.move(caller, String(ctx.params.id), placeOf(body), safelyOf(ctx)))
  })

  return router
}

/** The idempotency key of a write, and what its caller believes of the to-do (`If-Match`). */
const safelyOf = (ctx: Context): Safely => ({ ...keyOf(ctx), expects: expectation(ctx) })

/** Reads the body of a route, once its sender is known. The function it gives throws as `readJson` does. */
const bodyReader =
  (deps: Deps) =>
  async (
    ctx: Context,
    { budget }: ListCaller,
    members: string[],
    { types = [JSON_TYPE], limit = MAX_ITEM_BYTES } = {},
  ): Promise<Body> => {
    await readJson(ctx, { limit, deps, budget })
    return onlyMembers(jsonObject(ctx, types), members)
  }

function answerItem(ctx: Context, item: Item): void {
  ctx.set('Cache-Control', 'no-store')
  ctx.set('ETag', etagOf(item))
  ctx.body = item
}

type Act = (todos: Todos, caller: ListCaller, body: Body, safely: Safely) => Promise<object>
const several =
  (run: (todos: Todos) => (caller: ListCaller, ids: readonly string[], safely: Safely) => Promise<BatchResult>): Act =>
  async (todos, caller, { ids, items }, safely) => {
    if (items !== undefined) throw new Refused('batch_invalid', 'This action takes "ids", not "items".')
    return inWords(await run(todos)(caller, idsOf(ids), safely))
  }

/** What a batch can do. All to-dos of `add` are added, or none. */
const actions = {
  add: async (todos, caller, { items, ids }, safely) => {
    if (ids !== undefined || !Array.isArray(items)) throw new Refused('batch_invalid', 'This action takes "items".')
    const drafts = items.map((item) => draftOf(onlyMembers(objectOf(item), ITEM_MEMBERS)))
    const added = await todos.add(caller, drafts, safely)
    return { items: added.items, failures: [] }
  },
  complete: several((todos) => todos.complete),
  reopen: several((todos) => todos.reopen),
  delete: several((todos) => todos.delete),
  undelete: several((todos) => todos.undelete),
  reschedule: async (todos, caller, { items, ids }, safely) => {
    if (ids !== undefined || !Array.isArray(items)) throw new Refused('batch_invalid', 'This action takes "items".')
    const dues = items.map((item) => {
      const { id, due } = onlyMembers(objectOf(item), ['id', 'due'])
      const text = optionalText(due, 'due_invalid')
      if (text === undefined) throw new Refused('due_invalid')
      return { id: requiredText(id, 'batch_invalid'), due: text }
    })
    return inWords(await todos.reschedule(caller, dues, safely))
  },
} satisfies { readonly [action: string]: Act }
type Action = keyof typeof actions

const inWords = ({ items, failures }: BatchResult): object => ({
  items,
  failures: failures.map(({ id, why }) => ({ id, why: sentence(why) })),
})

function objectOf(value: unknown): Body {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refused('batch_invalid', 'Each of "items" must be an object.')
  return value as Body
}

/** @throws {Refused} `place_invalid` unless exactly one place is named */
function placeOf({ before, after, position }: Body): Place {
  const named = [before, after, position].filter((value) => value !== undefined)
  if (named.length !== 1) throw new Refused('place_invalid')
  if (typeof before === 'string') return { before }
  if (typeof after === 'string') return { after }
  if (typeof position === 'number' && Number.isSafeInteger(position) && position >= 1) return { position }
  throw new Refused('place_invalid')
}

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Refused('filter_invalid', `"${name}" must be a whole number.`)
  return Number(text)
}

const tagsIn = (header: string): string[] => header.split(',').map((tag) => tag.trim())

/**
 * `If-None-Match` (RFC 9110 §13.1.2). Unlike Koa's `fresh` this ignores `Cache-Control: no-cache`, which `fetch` adds
 * and which is for caches.
 */
const isKnown = (ctx: Context, item: Item): boolean =>
  tagsIn(ctx.get('if-none-match')).some((tag) => tag === '*' || tag.replace(/^W\//, '') === etagOf(item))

/** `If-Match` (RFC 9110 §13.1.1): whether the to-do still is what the caller read. Weak tags never match. */
function expectation(ctx: Context): Safely['expects'] {
  const header = ctx.req.headers['if-match']
  if (header === undefined) return undefined
  const tags = tagsIn(header)
  return (item) => tags.includes('*') || tags.includes(etagOf(item))
}
