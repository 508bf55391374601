// The page: asks the server every second what streams there are and how they do.

import { ask, Refused } from './api.js';
import { Card, stateOf } from './card.js';
import { clock, say } from './dom.js';
import { Events } from './events.js';

const POLL_MS = 1000;

const [silence, summary, streams, empty, login, logout, add, adding, panel] = [
  'silence', 'summary', 'streams', 'empty', 'login', 'logout', 'add', 'adding', 'events',
].map((id) => document.getElementById(id));

const cards = new Map();
const events = new Events(panel.querySelector('ol'));
let heard = Date.now();
let timer;

/** Cards for the streams that there are, in their order. */
function show(all) {
  const names = new Set(all.map((stream) => stream.name));
  for (const [name, card] of cards) {
    if (!names.has(name)) {
      card.close();
      cards.delete(name);
    }
  }
  all.forEach((stream, number) => {
    const card = cards.get(stream.name);
    if (card) return card.update(stream);
    const fresh = new Card(stream);
    cards.set(stream.name, fresh);
    return streams.insertBefore(fresh.element, streams.children[number] ?? null);
  });
  empty.hidden = all.length > 0;
  const count = (state) => all.filter((stream) => stateOf(stream.vitals) === state).length;
  const parts = ['live', 'connecting', 'lost'].filter(count).map((state) => `${count(state)} ${state}`);
  say(summary, `${all.length} ${all.length === 1 ? 'stream' : 'streams'}${parts.length ? `: ${parts.join(', ')}` : ''}`);
  document.title = count('lost') > 0 ? `(${count('lost')} lost) maskline` : 'maskline';
}

/** Whether somebody has to log in first. */
function enter(isIn) {
  login.hidden = isIn;
  [add.hidden, panel.hidden] = [!isIn, !isIn];
  if (isIn) return events.start();
  events.stop();
  logout.hidden = true;
  show([]);
  empty.hidden = true;
  say(summary, '');
  return undefined;
}

async function poll() {
  clearTimeout(timer);
  try {
    show(await ask('GET', '/api/v1/streams'));
    if (panel.hidden) {
      enter(true);
      logout.hidden = !(await ask('GET', '/api/v1/about')).token_needed;
    }
    [heard, silence.hidden] = [Date.now(), true];
    document.body.classList.remove('silent');
  } catch (error) {
    if (error instanceof Refused && error.status === 401) {
      silence.hidden = true;
      enter(false);
      return;
    }
    // What is on the page is old now, and must not look as if it were live.
    document.body.classList.add('silent');
    silence.hidden = false;
    say(silence, `No contact with the server since ${clock(heard)}. What you see is old. (${error.message})`);
  }
  timer = setTimeout(poll, POLL_MS);
}

/** Sends a form; its error line says what was wrong. */
function onSubmit(form, act) {
  form.onsubmit = async (event) => {
    event.preventDefault();
    const error = form.querySelector('.error');
    say(error, '');
    try {
      await act();
      form.reset();
    } catch (failure) {
      say(error, failure.message);
    }
  };
}

onSubmit(login, async () => {
  await ask('POST', '/login', { token: document.getElementById('token').value });
  poll();
});
logout.onclick = async () => {
  await ask('POST', '/logout');
  poll();
};
add.onclick = () => adding.showModal();
adding.querySelector('.cancel').onclick = () => adding.close();
onSubmit(adding.querySelector('form'), async () => {
  const value = (id) => document.getElementById(id).value;
  await ask('POST', '/api/v1/streams', { name: value('name'), source: { input: value('input') } });
  adding.close();
  poll();
});
poll();
