/** The page of one to-do. */
import type { Item } from '../../service/todos.ts'
import { type Html, html, type Page } from './layout.ts'

/** @param title its text in one line */
export const todoPage = (item: Item, title: string): Page => ({
  title,
  body: html`<h1><bdi>${title}</bdi></h1>
    ${title === item.todo ? '' : html`<p class="text"><bdi>${item.todo}</bdi></p>`}
    ${item.notes === null ? '' : html`<p class="text"><bdi>${item.notes}</bdi></p>`}
    <section class="facts" aria-label="About this to-do">
      <dl>
        ${fact('Due', item.due)}
        ${fact('Priority', item.priority)}
        ${fact('Added', dayOf(item.created_at))}
        ${fact('Done', item.done_at === null ? 'not yet' : dayOf(item.done_at))}
      </dl>
    </section>
    <p class="aside"><a href="/">All your to-dos</a></p>`,
})

const dayOf = (at: string): string => at.slice(0, 10)
const fact = (name: string, value: string | number | null): Html | '' =>
  value === null ? '' : html`<div><dt>${name}</dt><dd>${value}</dd></div>`
