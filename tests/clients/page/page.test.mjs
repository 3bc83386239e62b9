// The page at `/` and the reference at `/docs` in headless Chromium, over a running server.
//
// TOUCHMARK_URL is the server, TOUCHMARK_KEY_REQUIRED an API key whose answers are marked, TOUCHMARK_KEY_OPERATOR an analyst's.
// TOUCHMARK_CHROMIUM is the browser; with TOUCHMARK_SCREENSHOTS pictures are kept in that folder.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const URL = process.env.TOUCHMARK_URL;
const WRITER = process.env.TOUCHMARK_KEY_REQUIRED;
const ANALYST = process.env.TOUCHMARK_KEY_OPERATOR;
const FOLDER = process.env.TOUCHMARK_SCREENSHOTS;
const VIEWS = [['wide', 1280, 900], ['narrow', 360, 740]];
const SCHEMES = ['light', 'dark'];

let browser;
let marked;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.TOUCHMARK_CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
  const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${WRITER}` };
  const models = await (await fetch(`${URL}/v1/models`, { headers })).json();
  const response = await fetch(`${URL}/v1/completions`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ model: models.data[0].id, prompt: 'The harbour was quiet when', max_tokens: 320, temperature: 1, seed: 3 }),
  });
  assert.equal(response.status, 200, await response.clone().text());
  marked = (await response.json()).choices[0].text;
});

after(() => browser?.close());

/** A page that fails the test on an error of a script or of the content security policy. */
async function opened(options = {}, path = '/') {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().includes('the server responded with a status')) faults.push(message.text());
  });
  const foreign = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(URL) && !request.url().startsWith('data:')) foreign.push(request.url());
  });
  const response = await page.goto(URL + path);
  assert.equal(response.status(), 200);
  const close = async () => {
    await context.close();
    assert.deepEqual(faults, []);
    assert.deepEqual(foreign, []);
  };
  return { page, close, headers: response.headers() };
}

async function examine(page, text, key) {
  await page.fill('#text', text);
  if (key) {
    if (!await page.locator('details').evaluate((details) => details.open)) await page.click('summary');
    await page.fill('#key', key);
  }
  await page.click('#examine');
  await page.waitForSelector('#result:not([hidden]), .status.error');
}

/** Texts whose contrast with what is behind them is below WCAG's 4.5 (3 for large ones), and how it was found. */
function faint() {
  const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (value) => (value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [a, b] = [luminance(parse(style.color)), luminance(behind(element))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if ((a + 0.05) / (b + 0.05) < least) found.push(`${element.outerHTML.slice(0, 80)}: ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
  }
  return found;
}

test('the public gets a verdict in plain words and no numbers of evidence', async () => {
  const { page, close, headers } = await opened();
  assert.match(headers['content-security-policy'], /script-src 'self'.*frame-ancestors 'none'/);
  assert.equal(headers['referrer-policy'], 'no-referrer');
  // A key that may write is one of the public to detection.
  await examine(page, marked, WRITER);
  assert.equal(await page.textContent('#said'), '● A mark was found');
  assert.match(await page.textContent('#confidence'), /at most 1 in a million is called marked by mistake/);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'said');
  assert.equal(await page.locator('#details *').count(), 0);
  const words = marked.split(' ');
  words[20] = 'otherwise';
  await examine(page, words.join(' '));
  assert.match(await page.textContent('#about'), /differs by a few words at most/);
  await examine(page, 'Too short to say anything of it.');
  assert.equal(await page.textContent('#said'), '◐ Too little to say');
  await close();
});

test('an analyst sees coloured tokens, and hostile text stays text', async () => {
  const { page, close } = await opened();
  const hostile = '<img src=x onerror="document.title=1"> \u202egnirts\u202c &amp; <script>1</script>\n\n';
  await examine(page, hostile + marked, ANALYST);
  assert.equal(await page.textContent('#said'), '● A mark was found');
  assert.match(await page.textContent('#confidence'), /at most 1 in .* looks this marked/);
  assert.ok(await page.locator('.evidence .e1, .evidence .e2, .evidence .e3').count() > 20);
  assert.equal(await page.locator('.evidence img, .evidence script').count(), 0);
  assert.ok((await page.textContent('.evidence')).includes('<script>1</script>'));
  assert.equal(await page.locator('.evidence .hidden').first().textContent(), 'U+202E');
  const shown = (await page.textContent('.evidence')).replace(/⟦\d+|\d+⟧/g, '');
  assert.ok(shown.includes(marked.trim().slice(0, 200)));
  // What was typed is nowhere else.
  assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, '']);
  await close();
});

test('everything can be done with the keyboard, and every field has a name', async () => {
  const { page, close } = await opened();
  const names = await page.$$eval('textarea, input, button', (all) => all.map((field) => [
    field.id, Boolean(field.labels?.length || field.textContent.trim()),
  ]));
  assert.ok(names.length >= 6 && names.every(([, named]) => named), JSON.stringify(names));
  await page.focus('#text');
  await page.keyboard.press('Control+Enter');
  await page.waitForSelector('.status.error');
  assert.equal(await page.textContent('#status'), 'Paste a text first.');
  assert.equal(await page.getAttribute('#status', 'role'), 'status');
  const visited = [];
  for (let step = 0; step < 6; step += 1) {
    visited.push(await page.evaluate(() => document.activeElement.id || document.activeElement.tagName));
    await page.keyboard.press('Tab');
  }
  assert.deepEqual(visited.slice(0, 5), ['text', 'SUMMARY', 'examine', 'file', 'clear']);
  await close();
});

test('a file can be dropped, and one that is no text is refused', async () => {
  const { page, close } = await opened();
  const drop = (name, bytes) => page.evaluate(([name, bytes]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(bytes)], name));
    for (const type of ['dragover', 'drop']) {
      document.getElementById('drop').dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }
  }, [name, bytes]);
  await drop('letter.md', [...Buffer.from('Grüße, und so weiter')]);
  await page.waitForFunction(() => document.getElementById('text').value === 'Grüße, und so weiter');
  assert.equal(await page.textContent('#length'), '4 words');
  await drop('picture.png', [0x89, 0x50, 0x4e, 0x47, 0xff, 0xfe]);
  await page.waitForSelector('.status.error');
  assert.equal(await page.inputValue('#text'), 'Grüße, und so weiter');
  await close();
});

for (const colorScheme of SCHEMES) {
  for (const [name, width, height] of VIEWS) {
    test(`it can be read: ${colorScheme}, ${name}`, async () => {
      const { page, close } = await opened({ colorScheme, viewport: { width, height }, reducedMotion: 'reduce' });
      const look = async (step) => {
        const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.equal(over, 0, `${step}: wider than the window`);
        assert.deepEqual(await page.evaluate(faint), []);
        if (FOLDER) await page.screenshot({ path: `${FOLDER}/${colorScheme}-${name}-${step}.png`, fullPage: true });
      };
      await look('empty');
      await examine(page, marked, ANALYST);
      assert.equal(await page.locator('#verdict').evaluate((box) => getComputedStyle(box).animationName), 'none');
      await look('detected');
      await page.goto(`${URL}/docs`);
      await look('docs');
      await close();
    });
  }
}

test('the reference needs no script and lists every operation', async () => {
  const { page, close } = await opened({ javaScriptEnabled: false }, '/docs');
  const document = await (await fetch(`${URL}/openapi.json`)).json();
  const operations = Object.values(document.paths).flatMap((path) => Object.keys(path));
  assert.equal(await page.locator('#operations > .operation').count(), operations.length);
  const links = await page.$$eval('a[href^="#"]', (all) => all.map((link) => link.getAttribute('href').slice(1)));
  for (const link of new Set(links)) assert.equal(await page.locator(`[id="${link}"]`).count(), 1, link);
  await close();
});

test('without scripts the page says what to do', async () => {
  const { page, close } = await opened({ javaScriptEnabled: false });
  assert.match(await page.textContent('noscript'), /needs JavaScript/);
  await close();
});
