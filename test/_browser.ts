/** Opens a real Chromium from the npm packages alone, and says what a person would meet on a page: its look and its accessibility. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { AxeBuilder } from '@axe-core/playwright'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

/** A small touch screen, as options for `browser.newContext`. */
export const phone = {
  viewport: { width: 390, height: 844 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
} satisfies BrowserContextOptions

/** A common laptop window, as options for `browser.newContext`. */
export const desktop = { viewport: { width: 1280, height: 800 } } satisfies BrowserContextOptions

/** Every look a page must hold in, by name. */
export const looks = {
  'phone-light': { ...phone, colorScheme: 'light' },
  'phone-dark': { ...phone, colorScheme: 'dark' },
  'desktop-light': { ...desktop, colorScheme: 'light' },
  'desktop-dark': { ...desktop, colorScheme: 'dark' },
} satisfies Record<string, BrowserContextOptions>

/**
 * Starts Chromium, or throws saying why it cannot: a machine without a browser must fail the tests, never pass them.
 * Open pages with `browser.newContext(looks['phone-dark'])`, and close the browser in `test.after.always`: a test file
 * does not end while its browser runs.
 */
export async function openBrowser(): Promise<Browser> {
  try {
    const home = await unpack()
    return await chromium.launch({
      executablePath: join(home, 'chromium'),
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--headless',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--no-first-run',
        '--disable-quic',
      ],
      // Given to Chromium only: libraries and fonts set on this process would reach every program that a test starts.
      env: {
        ...process.env,
        LD_LIBRARY_PATH: join(home, 'al2023', 'lib'),
        FONTCONFIG_FILE: join(home, 'fonts', 'fonts.conf'),
        XDG_CACHE_HOME: join(home, 'cache'),
      },
    })
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(
      `The browser tests cannot start Chromium on ${process.platform} ${process.arch}. ` +
        'It comes from the npm package @sparticuz/chromium, which carries it for linux x64 only, and is kept unpacked ' +
        `in node_modules/.cache: delete that folder to unpack it anew.\n${reason}`,
      { cause: error },
    )
  }
}

/**
 * Throws an error that names each accessibility problem of the page and the elements at fault.
 * The page must come from `browser.newContext()`: the checker opens a second, blank page beside it.
 */
export async function expectAccessible(page: Page): Promise<void> {
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
  const { violations } = await new AxeBuilder({ page }).withTags(tags).analyze()
  if (violations.length === 0) return
  const lines = violations.flatMap((violation) => [
    `- ${violation.id} (${violation.impact}): ${violation.help}`,
    ...violation.nodes.map((node) => `    ${node.target.flat().join(' ')}  ${node.html}\n      ${summary(node)}`),
  ])
  throw new Error(`${page.url()} is not accessible:\n${lines.join('\n')}`)
}

/** Saves the whole page as a PNG file, making the folders on the way. */
export async function saveScreenshot(page: Page, file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await page.screenshot({ path: file, fullPage: true, animations: 'disabled' })
}

const summary = (node: { failureSummary?: string }) => (node.failureSummary ?? '').replaceAll(/\s+/g, ' ')

/**
 * Unpacks Chromium, its libraries and its font, and answers the folder that holds them.
 *
 * Test files run side by side, and a program half written or still open for writing cannot run. So each process unpacks
 * into a folder of its own and then renames it: the first to finish wins, the others throw theirs away. The folder is
 * kept beside the packages, where no cleaner of temporary files takes a part of it, and later runs find it ready.
 */
async function unpack(): Promise<string> {
  const entry = new URL(import.meta.resolve('@sparticuz/chromium'))
  const { version } = JSON.parse(await readFile(new URL('../package.json', entry), 'utf8'))
  const cache = join(import.meta.dirname, '..', 'node_modules', '.cache')
  const home = join(cache, `chromium-${version}`)
  if (existsSync(home)) return home

  await mkdir(cache, { recursive: true })
  const own = await mkdtemp(`${home}-`)
  try {
    // The package unpacks into the temporary directory, and its libraries only where it believes to be on AWS.
    const script = `
      const { default: chromium } = await import(${JSON.stringify(entry.href)})
      chromium.setGraphicsMode = false
      await chromium.executablePath()`
    await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
      env: { ...process.env, TMPDIR: own, CODEBUILD_BUILD_IMAGE: 'nodejs24' },
    })
    await writeFile(join(own, 'fonts', 'fonts.conf'), fonts)
    await rename(own, home)
  } catch (error) {
    await rm(own, { recursive: true, force: true })
    if (!existsSync(home)) throw error
  }
  return home
}

/** Text is set in the font of the package, so pages look alike everywhere; the machine's own only fill in missing signs. */
const fonts = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <alias binding="same"><family>sans-serif</family><prefer><family>Open Sans</family></prefer></alias>
  <alias binding="same"><family>serif</family><prefer><family>Open Sans</family></prefer></alias>
  <alias binding="same"><family>system-ui</family><prefer><family>Open Sans</family></prefer></alias>
</fontconfig>
`
