// What was recorded of a stream, to play back.

import { ask, streamPath } from './api.js';
import { clock, el, size } from './dom.js';

/** What the recordings of a stream do now: `recording`, or `paused: the disk is full`. */
export function doing(reports) {
  const told = reports.map(({ state, why }) => (why ? `${state}: ${why}` : state));
  return [...new Set(told)].join(', ');
}

/** A part of a card that is filled when it is opened; `state` is an element that says what they do now. */
export function recordings(name, state) {
  const list = el('ul', { className: 'recordings' });
  const screen = el('div', { className: 'playback' });
  const box = el('details', {}, el('summary', {}, 'Recordings ', state), list, screen);
  const play = (file) => {
    const video = el('video', { controls: true, autoplay: true, muted: true, src: streamPath(name, `/recordings/${encodeURIComponent(file)}`) });
    video.setAttribute('aria-label', `Recording ${file}`);
    screen.replaceChildren(video);
  };
  const row = ({ file, bytes, start_ms: start }) => {
    const button = el('button', { type: 'button', onclick: () => play(file) }, 'Play');
    button.setAttribute('aria-label', `Play ${file}`);
    const link = el('a', { href: streamPath(name, `/recordings/${encodeURIComponent(file)}`), download: file }, file);
    return el('li', {}, button, link, el('span', {}, `${start === null ? '' : `${clock(start)}, `}${size(bytes)}`));
  };
  box.ontoggle = async () => {
    if (!box.open) return screen.replaceChildren();
    try {
      const all = await ask('GET', streamPath(name, '/recordings'));
      list.replaceChildren(...all.map(row));
      if (all.length === 0) list.append(el('li', {}, 'There is none.'));
    } catch (error) {
      list.replaceChildren(el('li', { className: 'error' }, error.message));
    }
    return undefined;
  };
  return box;
}
