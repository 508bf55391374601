// What happened to the streams, newest first.

import { clock, el } from './dom.js';

/** So many are shown. */
const SHOWN = 200;

function words(event) {
  switch (event.kind) {
    case 'state': return `${event.state}: ${event.why}`;
    case 'zone': return `zone ${event.zone}: ${event.rule} ${event.state} (${Math.round(100 * event.share)} %)`;
    default: return event.what;
  }
}

export class Events {
  constructor(list) {
    this.list = list;
    this.source = null;
    document.addEventListener('visibilitychange', () => this.#listenOrLeave());
    this.wanted = false;
  }

  start() {
    this.wanted = true;
    this.#listenOrLeave();
  }

  stop() {
    this.wanted = false;
    this.#listenOrLeave();
  }

  /** A browser has six connections for a server; a page that nobody looks at shall not hold one. */
  #listenOrLeave() {
    const wanted = this.wanted && document.visibilityState === 'visible';
    if (wanted && (!this.source || this.source.readyState === EventSource.CLOSED)) this.#listen();
    if (!wanted && this.source) {
      this.source.close();
      this.source = null;
    }
  }

  #listen() {
    this.list.replaceChildren();
    const known = new Set();
    this.source = new EventSource('/api/v1/events?past=all');
    this.source.onmessage = ({ data, lastEventId }) => {
      if (known.has(lastEventId)) return;
      known.add(lastEventId);
      this.#show(JSON.parse(data));
    };
  }

  #show(event) {
    const time = el('time', { dateTime: new Date(event.at_ms).toISOString() }, clock(event.at_ms));
    const row = el('li', { className: `event ${event.kind} ${event.state ?? ''}` }, time);
    if (event.stream !== null) row.append(el('b', {}, event.stream));
    row.append(el('span', {}, words(event)));
    this.list.prepend(row);
    while (this.list.children.length > SHOWN) this.list.lastChild.remove();
  }
}
