// Asks this server about a text and shows what it says. Texts and keys stay in memory; foreign text only ever becomes text.
'use strict';

const at = (id) => document.getElementById(id);
const ENDPOINT = '/v1/watermark/detect';
const SIGNS = { detected: '●', not_detected: '○', insufficient_evidence: '◐', error: '✕' };
const WORDS = {
  detected: 'A mark was found',
  not_detected: 'No mark was found',
  insufficient_evidence: 'Too little to say',
  error: 'Not examined',
};
// Beyond so many tokens, neighbours of one colour are one element.
const MANY = 8000;

let server = { data: [], threshold_log10_p: null, public: {} };
let running = null;

/** An element with a class, attributes, and children that are texts or elements. */
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

const count = (number) => Math.round(number).toLocaleString('en');
const many = (number, one, several) => `${count(number)} ${number === 1 ? one : several}`;
const words = (text) => (text.match(/[\p{L}\p{N}’'-]+/gu) || []).length;

const raised = (digits) => String(digits).replace(/[0-9]/g, (digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[digit]);

/** How often at most, never rarer than log₁₀ p says; null where it says nothing. */
function odds(log10p) {
  const rarity = -log10p;
  if (!(rarity >= 1)) return null;
  const exponent = Math.floor(rarity + 1e-9);
  const first = Math.min(9, Math.max(1, Math.floor(10 ** (rarity - exponent) + 1e-6)));
  const large = (zeros, name) => {
    const number = first * 10 ** (exponent - zeros);
    return number === 1 ? `a ${name}` : `${number} ${name}`;
  };
  if (exponent < 6) return `1 in ${count(first * 10 ** exponent)}`;
  if (exponent < 9) return `1 in ${large(6, 'million')}`;
  if (exponent < 12) return `1 in ${large(9, 'billion')}`;
  if (exponent < 15) return `1 in ${large(12, 'trillion')}`;
  return `1 in 10${raised(exponent)}`;
}

const logarithm = (value) => value.toFixed(1).replace('-', '−');

// Characters that cannot be seen or that turn the direction of what follows are shown by their numbers.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/** A text as nodes in which nothing hides. */
function visible(text) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(HIDDEN)) {
    if (found.index > end) nodes.push(text.slice(end, found.index));
    const number = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, '0');
    nodes.push(make('span', { class: 'hidden' }, `U+${number}`));
    end = found.index + found[0].length;
  }
  if (end < text.length) nodes.push(text.slice(end));
  return nodes;
}

// ---- The answer ----

/** The verdict's confidence in plain words. */
function confidence(answer) {
  const needed = answer.needed_tokens;
  if (answer.reason === 'like_earlier') {
    return 'This text is much like one that was asked about before, but not the same.';
  }
  switch (answer.verdict) {
    case 'detected': {
      if (typeof answer.log10_p_corrected === 'number') {
        const rarely = odds(answer.log10_p_corrected);
        return rarely
          ? `Of texts that have nothing to do with the key, at most ${rarely} looks this marked.`
          : 'The threshold of this server is so low that the finding means little.';
      }
      const rarely = odds(server.threshold_log10_p ?? 0);
      return rarely
        ? `Of texts that have nothing to do with the key, at most ${rarely} is called marked by mistake.`
        : 'Texts that have nothing to do with the key are rarely called marked.';
    }
    case 'not_detected':
      return 'The text is long enough that one of the marks looked for would probably have been found.';
    default:
      return needed
        ? `About ${count(needed)} tokens that count are needed, some ${count(needed * 0.75)} words of English.`
        : 'A longer text may have an answer.';
  }
}

/** What the verdict rests on. */
function about(answer) {
  const days = server.public.remember_days;
  const later = days ? `Ask again in ${many(days, 'day', 'days')}, or` : 'Ask later, or';
  if (answer.reason === 'same_as_earlier') {
    return `This is the answer to a text that was asked about before and differs by a few words at most. Small changes are not examined anew. ${later} use an analyst’s key.`;
  }
  if (answer.reason === 'like_earlier') {
    return `Such texts are not examined anew, whether they are marked or not, so that nobody can try out changes against the answer. ${later} use an analyst’s key.`;
  }
  const scored = typeof answer.score === 'number' ? answer.num_scored_tokens : null;
  const parts = [`The text has ${many(answer.num_tokens ?? 0, 'token', 'tokens')}`];
  if (scored !== null) parts.push(`, of which ${count(scored)} count`);
  const meaning = {
    detected: '. A part of the text, or all of it, was very probably written with the key.',
    not_detected: '. That is no sign that a person wrote it.',
    insufficient_evidence: '. It may be marked or not.',
  };
  return parts.join('') + (meaning[answer.verdict] || '.');
}

function show(answer) {
  const box = at('verdict');
  box.className = `verdict ${answer.verdict}`;
  const sign = make('span', { 'aria-hidden': 'true' }, SIGNS[answer.verdict] || '');
  at('said').replaceChildren(sign, ' ', WORDS[answer.verdict] || answer.verdict);
  at('confidence').textContent = confidence(answer);
  at('about').textContent = about(answer);
  const details = [facts(answer), passages(answer), evidence(answer), rows(answer), warnings(answer)];
  at('details').replaceChildren(...details.filter(Boolean));
  at('result').hidden = false;
  at('said').focus();
}

function facts(answer) {
  if (typeof answer.log10_p_corrected !== 'number') return null;
  const pairs = [
    ['Mark', `${answer.profile}, key ${answer.key_id}`],
    ['log₁₀ p, corrected', `${logarithm(answer.log10_p_corrected)} (detected at ${logarithm(answer.threshold_log10_p)} or below)`],
    ['log₁₀ p of the best look', logarithm(answer.log10_p)],
    ['Mean evidence', answer.score.toFixed(3)],
    ['Corrected for', answer.family || '—'],
  ];
  const list = make('dl', { class: 'facts' });
  for (const [name, value] of pairs) list.append(make('dt', {}, name), make('dd', {}, value));
  return list;
}

function passages(answer) {
  const segments = answer.segments || [];
  if (segments.length === 0) return null;
  const items = segments.map((segment) => make('li', {},
    `Tokens ${count(segment.start + 1)} to ${count(segment.end)}, log₁₀ p ${logarithm(segment.log10_p)}`,
    ...quotation(answer, segment)));
  return make('div', {}, make('h3', {}, 'Marked passages'), make('ol', {}, ...items));
}

/** How a passage begins and ends, where the text is there. */
function quotation(answer, segment) {
  const most = 60;
  const pieces = answer.evidence ? answer.evidence.pieces : [];
  const first = pieces.findIndex((piece) => piece.token !== null && piece.token >= segment.start);
  if (first < 0) return [];
  const next = pieces.findIndex((piece) => piece.token !== null && piece.token >= segment.end);
  const text = pieces.slice(first, next < 0 ? pieces.length : next).map((piece) => piece.text).join('');
  const letters = Array.from(text.replace(/\s+/g, ' ').trim());
  const told = letters.length <= 2 * most
    ? letters.join('')
    : `${letters.slice(0, most).join('').trim()} … ${letters.slice(-most).join('').trim()}`;
  return [': ', make('span', { class: 'quote' }, '“', ...visible(told), '”')];
}

function legend() {
  const sample = (name, text) => [make('span', { class: name }, 'word'), ` ${text} `];
  return make('p', { class: 'legend' },
    ...sample('e0', 'counts, says little;'), ...sample('e1', 'speaks for the mark'),
    ...sample('e2', '(1 unmarked token in 20 does so)'), ...sample('e3', '(1 in 100);'),
    ...sample('u', 'does not count.'));
}

function evidence(answer) {
  if (!answer.evidence) return null;
  const pieces = answer.evidence.pieces;
  const text = make('div', { class: 'text evidence', role: 'region', 'aria-label': 'The text with its tokens coloured', tabindex: '0' });
  text.append(colour(pieces, answer.segments || []));
  return make('div', {}, make('h3', {}, 'The text'), legend(), text);
}

/** Coloured tokens, with passages between numbered brackets. */
function colour(pieces, segments) {
  const all = document.createDocumentFragment();
  const merge = pieces.length > MANY;
  let open = null;
  let into = all;
  let last = null;
  const leave = () => {
    if (open === null) return;
    all.append(make('b', { class: 'edge' }, `${open + 1}⟧`));
    [open, into, last] = [null, all, null];
  };
  for (const piece of pieces) {
    const name = piece.evidence === null ? 'u' : `e${piece.level}`;
    const blank = piece.text.match(/^[ \t\n]*/)[0];
    const text = piece.text.slice(blank.length);
    if (piece.token !== null) {
      const end = piece.token + piece.tokens;
      const now = segments.findIndex((segment) => segment.start < end && piece.token < segment.end);
      if (now !== (open ?? -1)) leave();
      // Blanks have no colour, but where neighbours are one they are a part of it.
      const joins = merge && last && last.className === name;
      if (blank) (joins && now === (open ?? -1) ? last : into).append(blank);
      if (now >= 0 && open === null) {
        into = make('span', { class: 'passage' });
        all.append(make('b', { class: 'edge' }, `⟦${now + 1}`), into);
        [open, last] = [now, null];
      }
    }
    if (piece.token === null) {
      into.append(...visible(piece.text));
      last = null;
    } else if (text === '') {
      // Blanks alone have no colour.
    } else if (merge && last && last.className === name) {
      last.append(...visible(text));
    } else {
      const title = merge || piece.evidence === null ? null : `token ${piece.token + 1}: evidence ${piece.evidence.toFixed(2)}`;
      last = make('span', { class: name, title }, ...visible(text));
      into.append(last);
    }
  }
  leave();
  return all;
}

function rows(answer) {
  if (!answer.rows || answer.rows.length < 2) return null;
  const head = ['Profile', 'Key', 'Verdict', 'log₁₀ p, corrected', 'Tokens that count'];
  const cells = head.map((name, column) => make('th', { scope: 'col', class: column > 2 ? 'n' : null }, name));
  const lines = answer.rows.map((row) => make('tr', {},
    make('th', { scope: 'row' }, row.profile),
    make('td', {}, make('code', {}, row.key_id)),
    make('td', { class: `said ${row.verdict}` }, `${SIGNS[row.verdict] || ''} ${WORDS[row.verdict] || row.verdict}`),
    make('td', { class: 'n' }, logarithm(row.log10_p_corrected)),
    make('td', { class: 'n' }, count(row.tokens_scored))));
  const table = make('table', {}, make('thead', {}, make('tr', {}, ...cells)), make('tbody', {}, ...lines));
  return make('div', {}, make('h3', {}, 'All marks looked for'),
    make('div', { class: 'wide', role: 'region', 'aria-label': 'All marks looked for', tabindex: '0' }, table));
}

function warnings(answer) {
  if (!answer.warnings || answer.warnings.length === 0) return null;
  const items = answer.warnings.map((warning) => make('li', {}, warning));
  return make('div', { class: 'warnings' }, make('b', {}, 'To know'), make('ul', {}, ...items));
}

// ---- Asking ----

function say(text, isError) {
  const status = at('status');
  status.textContent = text;
  status.classList.toggle('error', Boolean(isError));
}

async function ask(body, key, signal) {
  const headers = { 'Content-Type': 'application/json' };
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await fetch(ENDPOINT, {
    method: 'POST', headers, body: JSON.stringify(body), signal, credentials: 'omit', cache: 'no-store',
  });
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  const error = (answer && answer.error) || {};
  throw Object.assign(new Error(error.message || `The server answered ${response.status}.`), {
    status: response.status, param: error.param, wait: Number(response.headers.get('Retry-After')) || null,
  });
}

/** Evidence is asked for where there is a key, and once more without it where the key may not see any. */
async function askAs(body, key, signal) {
  if (!key) return ask(body, key, signal);
  try {
    return await ask({ ...body, explain: true }, key, signal);
  } catch (error) {
    if (error.status === 403 && error.param === 'explain') return ask(body, key, signal);
    throw error;
  }
}

function waiting(seconds) {
  if (seconds < 90) return many(seconds, 'second', 'seconds');
  if (seconds < 5400) return many(Math.round(seconds / 60), 'minute', 'minutes');
  return many(Math.round(seconds / 3600), 'hour', 'hours');
}

async function examine(event) {
  event.preventDefault();
  const [text, prompt, key] = [at('text').value, at('prompt').value, at('key').value.trim()];
  if (!text.trim()) {
    say('Paste a text first.', true);
    at('text').focus();
    return;
  }
  if (running) running.abort();
  const own = new AbortController();
  running = own;
  at('examine').disabled = true;
  at('result').hidden = true;
  say('Examining…');
  try {
    const answer = await askAs(prompt ? { text, prompt } : { text }, key, own.signal);
    // What the verdict means depends on the server's threshold.
    if (server.threshold_log10_p === null) await load();
    say('');
    show(answer);
  } catch (error) {
    if (own.signal.aborted) return;
    const message = error.status ? error.message : 'the server cannot be reached';
    const sentence = `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
    say(error.wait ? `${sentence} There is something to expect in ${waiting(error.wait)}.` : sentence, true);
  } finally {
    if (running === own) {
      running = null;
      at('examine').disabled = false;
    }
  }
}

// ---- Texts from files ----

async function open(file) {
  const most = server.public.text_bytes || 1048576;
  if (file.size > most) {
    say(`${file.name} has ${count(file.size)} bytes, of ${count(most)} at most. Paste a part of it.`, true);
    return;
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer());
    at('text').value = text;
    measure();
    say(`${file.name} is in the field.`);
    at('examine').focus();
  } catch {
    say(`${file.name} is not a plain text (UTF-8).`, true);
  }
}

function dropping() {
  const drop = at('drop');
  const over = (event) => {
    if (!event.dataTransfer || !Array.from(event.dataTransfer.types).includes('Files')) return;
    event.preventDefault();
    drop.classList.add('over');
  };
  drop.addEventListener('dragenter', over);
  drop.addEventListener('dragover', over);
  drop.addEventListener('dragleave', (event) => {
    if (!drop.contains(event.relatedTarget)) drop.classList.remove('over');
  });
  drop.addEventListener('drop', (event) => {
    drop.classList.remove('over');
    const file = event.dataTransfer && event.dataTransfer.files[0];
    if (!file) return;
    event.preventDefault();
    open(file);
  });
}

function measure() {
  const text = at('text').value;
  at('length').textContent = text.trim() ? many(words(text), 'word', 'words') : 'No text yet';
}

// ---- What the server looks for ----

function profiles() {
  const items = server.data.map((profile) => make('li', {},
    make('b', {}, profile.id), `: ${profile.scheme}, key `, make('code', {}, profile.key_id),
    `, for texts of models with the tokenizer of ${profile.tokenizer.name}`));
  const none = make('p', { class: 'note' }, 'No mark is looked for at the moment.');
  at('profiles').replaceChildren(items.length ? make('ul', {}, ...items) : none);
}

function limits() {
  const rules = server.public;
  const told = [];
  if (rules.min_tokens) told.push(`Without a key a text needs ${count(rules.min_tokens)} tokens.`);
  if (rules.texts_a_day) told.push(`You may ask about ${many(rules.texts_a_day, 'text', 'texts')} a day.`);
  if (rules.near_duplicates) {
    told.push(`Texts like one that anybody asked about within ${many(rules.remember_days, 'day', 'days')} are not examined anew; for that, fingerprints of texts are kept in memory.`);
  } else if (rules.no_retention) {
    told.push('Nothing of a text is kept after its answer.');
  }
  at('limits').textContent = told.join(' ');
}

/** Asks what is looked for; a server may tell it to holders of API keys only. */
async function load() {
  const key = at('key').value.trim();
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  try {
    const response = await fetch('/v1/watermark/profiles', { headers, credentials: 'omit', cache: 'no-store' });
    if (response.status === 401) {
      const words = key ? 'This server does not know the API key.' : 'This server answers to API keys only; there is a field for one under “More”.';
      at('profiles').replaceChildren(make('p', { class: 'note' }, words));
      return;
    }
    if (!response.ok) throw new Error(String(response.status));
    server = { ...server, ...await response.json() };
    profiles();
    limits();
  } catch {
    at('profiles').replaceChildren(make('p', { class: 'note' }, 'The server did not say what it looks for.'));
  }
}

async function begin() {
  at('form').addEventListener('submit', examine);
  at('text').addEventListener('input', measure);
  at('file').addEventListener('change', (event) => {
    if (event.target.files[0]) open(event.target.files[0]);
    event.target.value = '';
  });
  at('clear').addEventListener('click', () => {
    for (const id of ['text', 'prompt']) at(id).value = '';
    at('result').hidden = true;
    say('');
    measure();
    at('text').focus();
  });
  at('form').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) at('form').requestSubmit();
  });
  dropping();
  measure();
  at('key').addEventListener('change', load);
  await load();
}

begin();
