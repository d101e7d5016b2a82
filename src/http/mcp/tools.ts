/** Every tool there is, in the order in which models see them. A name never changes once it has shipped. */
import type { Tool } from './tool.ts'
import { getProfile, myActivity } from './tools/account.ts'
import { addTodos, completeTodos, moveTodo, reopenTodos, rescheduleTodos, updateTodo } from './tools/change.ts'
import { fetch, search } from './tools/connector.ts'
import { deleteTodos, undoDelete } from './tools/delete.ts'
import { findTodos, getOverview } from './tools/find.ts'

export const TOOLS: readonly Tool[] = [
  findTodos,
  getOverview,
  addTodos,
  updateTodo,
  completeTodos,
  reopenTodos,
  rescheduleTodos,
  moveTodo,
  deleteTodos,
  undoDelete,
  myActivity,
  search,
  fetch,
  getProfile,
]
