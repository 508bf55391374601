// One stream: its picture, what is drawn over it, its numbers, and what can be done with it.

import { ask, streamPath } from './api.js';
import { clock, el, freshId, say, span } from './dom.js';
import { Picture } from './picture.js';
import { Plot } from './plot.js';
import { doing, recordings } from './recordings.js';

/** What a mask is drawn with where the stream does not say. */
const DEFAULT_ALPHA = 0.5;

const BANNERS = { connecting: 'Connecting', lost: 'Signal lost' };

/** What a stream is to whoever looks at it: one that was there and is connected again is as lost as before. */
export function stateOf({ state, age_ms: age }) {
  return state === 'stalled' || (state === 'connecting' && age !== null) ? 'lost' : state;
}

export class Card {
  constructor(stream) {
    this.name = stream.name;
    this.classes = [];
    this.shown = new Set();
    this.boxes = new Map();
    this.overlay = null;
    this.#build();
    this.picture = new Picture(this.canvas, this.name);
    this.shares = new Plot(this.plot);
    this.update(stream);
  }

  #build() {
    const title = freshId();
    const heading = el('h2', { id: title }, this.name);
    this.badge = el('span', { className: 'badge' });
    this.canvas = el('canvas', { width: 640, height: 360, role: 'img', 'aria-label': `Live picture of ${this.name}` });
    this.bannerTitle = el('strong');
    this.bannerText = el('span');
    this.banner = el('div', { className: 'banner', role: 'alert', hidden: true }, this.bannerTitle, this.bannerText);
    this.plot = el('canvas', { className: 'plot', role: 'img', 'aria-label': `Class shares of ${this.name} over the last five minutes` });
    this.numbers = el('dl', { className: 'numbers' });
    this.recording = el('span', { className: 'doing' });
    this.zones = el('ul', { className: 'zones', 'aria-label': 'Zones' });
    this.element = el(
      'article',
      { className: 'card', 'aria-labelledby': title },
      el('header', {}, heading, this.badge),
      el('div', { className: 'picture' }, this.canvas, this.banner),
      this.#buildMask(),
      el('figure', {}, this.plot, el('figcaption', {}, el('span', {}, '5 min ago'), el('span', {}, 'class shares'), el('span', {}, 'now'))),
      this.zones,
      this.numbers,
      recordings(this.name, this.recording),
      this.#buildFooter(),
    );
  }

  #buildMask() {
    const slider = freshId();
    this.slider = el('input', { id: slider, type: 'range', min: 0, max: 100, step: 1 });
    this.percent = el('output', { for: slider });
    this.slider.oninput = () => this.#dress();
    this.list = el('ul', { className: 'classes' });
    const button = (text, act) => el('button', { type: 'button', className: 'small', onclick: act }, text);
    this.error = el('p', { className: 'error', role: 'alert' });
    return el(
      'fieldset',
      { className: 'mask' },
      el('legend', {}, 'Mask'),
      el('p', { className: 'alpha' }, el('label', { for: slider }, 'Strength'), this.slider, this.percent),
      this.list,
      el(
        'p',
        { className: 'buttons' },
        button('All', () => this.#tick(() => true)),
        button('None', () => this.#tick(() => false)),
        button('For all outputs', () => this.#send()),
      ),
      this.error,
    );
  }

  #buildFooter() {
    const remove = el('button', { type: 'button', className: 'remove' }, 'Remove');
    const yes = el('button', { type: 'button', className: 'danger' }, 'Yes, remove');
    const keep = el('button', { type: 'button' }, 'Keep');
    const asking = el('span', { className: 'asking', hidden: true }, el('span', {}, `Remove ${this.name}?`), yes, keep);
    const turn = (open) => {
      [asking.hidden, remove.hidden] = [!open, open];
      (open ? keep : remove).focus();
    };
    remove.onclick = () => turn(true);
    keep.onclick = () => turn(false);
    yes.onclick = () => {
      turn(false);
      this.#attempt(() => ask('DELETE', streamPath(this.name)));
    };
    return el('footer', {}, remove, asking);
  }

  /** What the server says of the stream now. */
  update(stream) {
    const { vitals, settings } = stream;
    this.#updateClasses(stream.classes, settings.overlay ?? {}, vitals.shares);
    this.picture.zones = (settings.zone ?? []).map((zone) => zone.polygon);
    this.#updateState(vitals);
    if (vitals.width) this.canvas.parentElement.style.aspectRatio = `${vitals.width} / ${vitals.height}`;
    this.shares.add(Date.now(), vitals.state === 'live' ? vitals.shares : null, this.classes);
    this.zones.replaceChildren(
      ...vitals.zones.map(({ name, on }) => el('li', { className: on.length ? 'on' : '' }, `${name}: ${on.length ? on.join(', ') : 'quiet'}`)),
    );
    say(this.recording, doing(stream.outputs.record));
    this.recording.classList.toggle('error', stream.outputs.record.some(({ state }) => state === 'paused'));
    this.#updateNumbers(vitals);
  }

  close() {
    this.picture.close();
    this.element.remove();
  }

  #updateState(vitals) {
    const state = stateOf(vitals);
    say(this.badge, state);
    this.badge.dataset.state = state;
    this.element.dataset.state = state;
    const banner = BANNERS[state];
    this.banner.hidden = !banner;
    if (!banner) return;
    // The server tells how long it has been so; the moment is the same each time but for the way of the answer.
    const begin = Date.now() - (vitals.age_ms ?? 1000 * vitals.since_s);
    if (Math.abs(begin - (this.begin ?? 0)) > 1500) this.begin = begin;
    say(this.bannerTitle, banner);
    say(this.bannerText, `since ${clock(this.begin)}: ${vitals.why}`);
  }

  /** New classes or another overlay on the server replace what was chosen here. */
  #updateClasses(classes, overlay, shares) {
    const [alpha, only] = [overlay.alpha ?? DEFAULT_ALPHA, overlay.only ?? null];
    const now = JSON.stringify([classes, alpha, only]);
    if (now !== this.overlay) {
      this.overlay = now;
      this.classes = classes;
      this.shown = new Set(classes.filter((c) => (only ? only.includes(c.name) : c.drawn)).map((c) => c.name));
      this.slider.value = Math.round(100 * alpha);
      this.#buildClasses();
      this.#dress();
    }
    const share = new Map(shares.map((s) => [s.class, s.share]));
    for (const [name, { percent }] of this.boxes) {
      say(percent, share.has(name) ? `${(100 * share.get(name)).toFixed(1)} %` : '');
    }
  }

  #buildClasses() {
    this.boxes.clear();
    const row = ({ name, color }) => {
      const box = el('input', { type: 'checkbox', checked: this.shown.has(name) });
      box.onchange = () => {
        this.shown[box.checked ? 'add' : 'delete'](name);
        this.#dress();
      };
      const swatch = el('span', { className: 'swatch' });
      swatch.style.backgroundColor = color;
      const percent = el('span', { className: 'share' });
      this.boxes.set(name, { box, percent });
      return el('li', {}, el('label', {}, box, swatch, el('span', { className: 'class' }, name), percent));
    };
    this.list.replaceChildren(...this.classes.map(row));
  }

  #tick(wanted) {
    for (const [name, { box }] of this.boxes) {
      box.checked = wanted(name);
      this.shown[box.checked ? 'add' : 'delete'](name);
    }
    this.#dress();
  }

  #dress() {
    say(this.percent, `${this.slider.value} %`);
    this.picture.dress(this.classes, this.shown, this.slider.value / 100);
  }

  /** What is chosen here becomes what every output shows. */
  #send() {
    const usual = this.classes.every((c) => c.drawn === this.shown.has(c.name));
    const only = usual ? null : this.classes.map((c) => c.name).filter((name) => this.shown.has(name));
    this.#attempt(() => ask('PATCH', streamPath(this.name), { overlay: { alpha: this.slider.value / 100, only } }));
  }

  async #attempt(act) {
    say(this.error, '');
    try {
      await act();
    } catch (error) {
      say(this.error, error.message);
    }
  }

  #updateNumbers(vitals) {
    const { latency, frames } = vitals;
    const ms = (value) => `${Math.round(value)} ms`;
    const rows = [
      ['Frames', `${vitals.frames_per_s.toFixed(1)} /s`],
      ['Latency', latency ? `${ms(latency.p50_ms)}, 95 % in ${ms(latency.p95_ms)}` : '–'],
      ['Inference', vitals.inference_ms === null ? '–' : ms(vitals.inference_ms)],
      ['Newest frame', vitals.age_ms === null ? '–' : `${span(vitals.age_ms / 1000)} ago`],
      ['Left out', `${frames.replaced + frames.too_old} of ${frames.replaced + frames.too_old + frames.shown}`],
      ['Size', vitals.width ? `${vitals.width}×${vitals.height}` : '–'],
      ['Model', [vitals.model, vitals.provider].filter(Boolean).join(' on ') || '–'],
    ];
    if (this.numbers.children.length === 0) {
      this.numbers.append(...rows.map(([key]) => el('div', {}, el('dt', {}, key), el('dd'))));
    }
    rows.forEach(([, value], i) => say(this.numbers.children[i].lastChild, value));
  }
}

