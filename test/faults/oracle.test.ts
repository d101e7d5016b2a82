/** The oracle itself: it must see each false line, and nothing in true ones. */
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { deleteTodoAt } from '../../src/domain/deletions.ts'
import { addTodos, type ListLimits } from '../../src/domain/edits.ts'
import { registerUser } from '../../src/domain/users.ts'
import { Ledger } from '../../src/ledger/ledger.ts'
import { newKey } from '../../src/ledger/vault.ts'
import { SYSTEM, temporaryFolder } from '../_support.ts'
import { judge, Told, type Verdict } from './_oracle.ts'

const LIMITS: ListLimits = { open: 1e9, size: 1e12, sizeOfAll: 1e12 }

/** What the book below holds, told truly: `a` is deleted, `b` and `c` are on the list. */
const TRUE = ['? a', '+ a', '? b', '+ b', 'x a', '? c', '+ c']

/** A closed book of three to-dos, the first of which is deleted. @param more to-dos that come after them: id, text */
async function smallBook(t: ExecutionContext, ...more: readonly (readonly [id: string, text: string])[]) {
  const directory = join(temporaryFolder(t), 'data')
  const ledger = await Ledger.open({ directory, clock: Date.now, version: 'test' })
  const alice = { user: 'alice', username: 'alice', email: undefined, admin: false, passwordHash: '-', key: newKey() }
  await ledger.transact(SYSTEM, (state) => registerUser(state, alice))
  const add = (id: string, text = `${id} text`): Promise<unknown> => {
    const items = [{ id, text, notes: null, due: null, priority: null }]
    return ledger.transact(SYSTEM, (state, now) => addTodos(state, { owner: 'alice', items, limits: LIMITS }, now))
  }
  for (const id of ['a', 'b']) await add(id)
  const first = { owner: 'alice', index: 0, text: undefined, limits: LIMITS }
  await ledger.transact(SYSTEM, (state, now) => deleteTodoAt(state, first, now))
  await add('c')
  for (const [id, text] of more) await add(id, text)
  await ledger.close()
  return directory
}

function judged(directory: string, lines: readonly string[]): Promise<Verdict> {
  const told = new Told()
  told.add(lines.map((line) => `${line}\n`).join(''))
  return judge(directory, told)
}

test('true lines are whole, and so is what was asked, refused or begun and not acknowledged', async (t) => {
  const directory = await smallBook(t)
  t.deepEqual(await judged(directory, TRUE), { lost: 0, wrong: [] })
  const more = ['= ready', ...TRUE, '? d', '! book_unavailable', '# 7', '? e', '= closed']
  t.deepEqual(await judged(directory, more), { lost: 0, wrong: [] })
})

test('each acknowledged to-do that is not in the book is lost', async (t) => {
  const directory = await smallBook(t)
  t.deepEqual(await judged(directory, [...TRUE, '? d', '+ d']), { lost: 1, wrong: [] })
  t.deepEqual(await judged(directory, [...TRUE, '? d', '? e', '+ d', '+ e']), { lost: 2, wrong: [] })
})

test('each acknowledged deletion that is not in the book is lost', async (t) => {
  const directory = await smallBook(t)
  t.deepEqual(await judged(directory, [...TRUE, 'x b']), { lost: 1, wrong: [] })
  t.deepEqual(await judged(directory, [...TRUE, 'x b', 'x c']), { lost: 2, wrong: [] })
})

test('a to-do that nobody asked for is wrong', async (t) => {
  const lines = TRUE.filter((line) => !line.endsWith(' c'))
  t.deepEqual(await judged(await smallBook(t), lines), { lost: 0, wrong: ['c was never asked for'] })
})

test('a to-do that stands before what was answered before it was asked is wrong', async (t) => {
  const lines = ['? c', '+ c', '? a', '+ a', 'x a', '? b', '+ b']
  t.deepEqual(await judged(await smallBook(t), lines), {
    lost: 0,
    wrong: ['a', 'b'].map((id) => `${id} stands before what was answered before it was asked`),
  })
})

test('a to-do with the text of another one is wrong', async (t) => {
  const directory = await smallBook(t, ['d', 'b text'])
  t.deepEqual(await judged(directory, [...TRUE, '? d', '+ d']), { lost: 0, wrong: ['d says something else'] })
})

test('a to-do that was added twice is wrong', async (t) => {
  const verdict = await judged(await smallBook(t, ['b', 'b text']), TRUE)
  t.true('wrong' in verdict && verdict.wrong.includes('b was added twice'), JSON.stringify(verdict))
})

test('a line that was cut off was not told, and a book that is not there is refused', async (t) => {
  const told = new Told()
  told.add('? a\n+ a\n+ never-th')
  t.deepEqual(told.lines, ['? a', '+ a'])
  t.is(told.acknowledged, 1)
  t.true('refused' in (await judge(join(temporaryFolder(t), 'data'), told)))
})
