// The page: what is chosen, shown, computed and saved. Pixels are decoded, computed and encoded in workers.
import {hasSimd, hasThreads, load, MirnetError} from './mirnet/index.js';
import {decode, encode, toImageData} from './pictures.js';
import {Viewer} from './viewer.js';

// Elements by their id: "save-png" is savePng.
const {
  error, notStarted, drop, file: fileInput, invitation, state, work, name, size, viewer: viewerBox, sheet, before,
  afterClip, after, tagBefore, tagAfter, divider, compare, compareValue, strength, strengthValue, zoom, running,
  progress, done, cancel, actions, savePng, saveJpeg, again, other, live, about,
} = Object.fromEntries([...document.querySelectorAll('[id]')].map(
    (element) => [element.id.replace(/-(.)/g, (_, letter) => letter.toUpperCase()), element]));
const title = document.title;

// --- Isolation and the model -------------------------------------------------------------------------------------

// Where the server does not isolate the page, a service worker does, from the next load on.
async function isolate() {
  if (hasThreads() || !isSecureContext || !navigator.serviceWorker || navigator.serviceWorker.controller) return;
  try {
    await navigator.serviceWorker.register('isolation.js');
    await navigator.serviceWorker.ready;
    if (picture || sessionStorage.getItem('isolated')) return;
    sessionStorage.setItem('isolated', 'tried');
    location.reload();
  } catch {
    // One thread, then.
  }
}

let model = null;
function loadModel() {
  model = load();
  model.then(({info}) => {
    const threads = info.threads > 1 ? `${info.threads} threads` : 'one thread';
    about.textContent = `mirnet ${info.version}, ${info.network}, ${threads}` +
        (hasSimd() ? '.' : '. This browser has no SIMD instructions, so it takes many times as long.');
  }, (failure) => {
    model = null;
    explain(failure);
  });
  return model;
}

// --- Pictures, in a worker where there are canvases for one ------------------------------------------------------

// A worker for each picture: what it held ends with it.
function inWorker(which, argument, transfer = []) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('pictures-worker.js', import.meta.url), {type: 'module'});
    worker.onmessage = ({data: {result, error: failure, data}}) => {
      worker.terminate();
      if (result) resolve(result);
      else reject(Object.assign(new Error(failure.message), failure, {data}));
    };
    worker.onerror = (event) => {
      worker.terminate();
      reject(new Error(event.message || 'a worker could not be loaded'));
    };
    worker.postMessage({which, argument}, transfer);
  });
}

const pictures = typeof OffscreenCanvas !== 'function' ? {decode, encode} : {
  decode: (file) => inWorker('decode', file),
  encode: (argument) => inWorker('encode', argument, [argument.data.buffer]),
};

// --- What the page says ------------------------------------------------------------------------------------------

const megapixels = (width, height) => {
  const millions = width * height / 1e6;
  return millions < 0.95 ? '' : ` (${millions.toFixed(millions < 9.5 ? 1 : 0)} megapixels)`;
};
const sides = (width, height) => `${width} × ${height} pixels${megapixels(width, height)}`;

function explain(failure) {
  const file = picture?.file.name ?? 'The file';
  const {width, height, type} = failure.details ?? {};
  const texts = {
    'not-decoded': () => `${file} is not a picture that this browser can read. Choose a JPEG, PNG, WebP or AVIF; ` +
        'export other formats, such as a camera’s raw files, as one of these.',
    'too-large': () => `${file} has ${sides(width, height)}, more than this browser can hold. Scale it down, or use ` +
        'the program mirnet, which has no such limit.',
    'not-encoded': () => `This browser could not write ${type === 'image/png' ? 'a PNG' : 'a JPEG'} of this size. ` +
        'Save in the other format.',
  };
  const text = texts[failure.reason]?.() ??
    (failure instanceof MirnetError && failure.code === 'memory' ?
      `There is not enough memory for this photograph: ${failure.message}. Close other tabs or scale it down.` :
      `That did not work: ${failure.message}. Try again, or load the page again.`);
  error.textContent = text;
  error.hidden = false;
}

const seconds = (value) => {
  if (value < 90) return `${Math.max(1, Math.round(value < 20 ? value : value / 5) * (value < 20 ? 1 : 5))} s`;
  const minutes = Math.round(value / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
};

function say(text) {
  live.textContent = text;
}

// --- One photograph ----------------------------------------------------------------------------------------------

let picture = null;  // {file, width, height, channels, after: the clean samples or null, controller}
let placed = false;  // whether the divider was moved by hand

const viewer = new Viewer(
    {viewer: viewerBox, sheet, before, clip: afterClip, after, divider, tags: [tagBefore, tagAfter]},
    (place) => {
      placed = true;
      compare.value = place;
      tellCompare();
    });

function tellCompare() {
  compareValue.value = `${Math.round(compare.value)} %`;
  compare.setAttribute('aria-valuetext', `${compareValue.value} before, ${100 - Math.round(compare.value)} % after`);
}

function place(percent) {
  compare.value = percent;
  tellCompare();
  viewer.setPlace(percent);
}

function setActual(actual, x, y) {
  zoom.setAttribute('aria-pressed', actual);
  viewer.setActual(actual, x, y);
}

// Each photograph, and each time it starts again, ends what went on before.
async function open(file) {
  picture?.controller.abort();
  const mine = picture = {file, controller: new AbortController()};
  error.hidden = true;
  invitation.textContent = `Opening ${file.name}…`;
  state.textContent = '';
  work.hidden = true;
  drop.hidden = false;
  try {
    const {width, height, channels, bitmap, data} = await pictures.decode(file);
    if (picture !== mine) return bitmap.close();
    Object.assign(mine, {width, height, channels});
    drop.hidden = true;
    work.hidden = false;
    name.textContent = file.name;
    size.textContent = sides(width, height);
    saveJpeg.title = channels === 4 ? 'JPEG has no transparency: transparent parts become white.' : '';
    setActual(false);
    viewer.show(bitmap);
    placed = false;
    await new Promise((resolve) => setTimeout(resolve, 50));  // to show it first
    if (picture === mine) await compute(mine, data);
  } catch (failure) {
    if (picture !== mine) return;
    explain(failure);
    close();
  }
}

function close() {
  picture?.controller.abort();
  picture = null;
  document.title = title;
  invitation.textContent = 'Choose a photograph';
  state.textContent = 'or drop it here, or paste it';
  fileInput.value = '';
  work.hidden = true;
  drop.hidden = false;
  fileInput.focus();
}

function showRunning(yes) {
  running.hidden = !yes;
  actions.hidden = yes;
  work.classList.toggle('computing', yes);
  if (!yes) document.title = title;
}

/** `pixels` are the samples, or a promise of them. */
async function compute(mine, pixels) {
  const {file, width, height, channels, controller} = mine;
  mine.after = null;
  savePng.disabled = saveJpeg.disabled = true;
  again.hidden = true;
  showRunning(true);
  progress.removeAttribute('value');
  done.textContent = 'Starting…';
  if (!placed) place(0);  // to see the tiles
  say(`Cleaning ${file.name}.`);
  cancel.focus({preventScroll: true});
  let quarter = 0;
  try {
    const data = await pixels;
    const start = performance.now();
    const result = await (await (model ?? loadModel())).denoise({width, height, channels, data}, {
      transfer: true,
      signal: controller.signal,
      onRectangle: (part) => viewer.draw(toImageData({...part, channels}), part.x, part.y),
      onProgress(share) {
        const passed = (performance.now() - start) / 1000;
        const left = passed > 1.5 && share > 0.01 ? `, about ${seconds(passed / share - passed)} left` : '';
        const percent = Math.floor(100 * share);
        progress.value = share;
        done.textContent = `${percent} % done${left}`;
        document.title = `${percent} % – ${title}`;
        if (Math.floor(4 * share) > quarter && share < 1) {
          quarter = Math.floor(4 * share);
          say(`${25 * quarter} % done${left}.`);
        }
      },
    });
    if (picture !== mine) return;
    mine.after = result.data;
    savePng.disabled = saveJpeg.disabled = false;
    showRunning(false);
    if (!placed) place(50);
    say(`${file.name} is clean. It took ${seconds((performance.now() - start) / 1000)}. Compare, or save it.`);
    savePng.focus({preventScroll: true});
  } catch (failure) {
    if (picture !== mine) return;
    showRunning(false);
    again.hidden = false;
    if (failure.name === 'AbortError') say('Cancelled.');
    else explain(failure);
    again.focus({preventScroll: true});
  }
}

async function decodeAgain(mine) {
  const {bitmap, data} = await pictures.decode(mine.file);
  bitmap.close();
  if (picture === mine) viewer.clearAfter();
  return data;
}

function startAgain() {
  picture.controller = new AbortController();
  error.hidden = true;
  return compute(picture, decodeAgain(picture));
}

async function save(type, extension) {
  const mine = picture;
  if (!mine?.after) return;
  error.hidden = true;
  savePng.disabled = saveJpeg.disabled = true;
  const {file, width, height, channels, after: clean} = mine;
  try {
    const {blob, data} = await pictures.encode(
        {file, width, height, channels, data: clean, strength: strength.value / 100, type});
    mine.after = data;
    const saved = `${file.name.replace(/\.[^.]*$/, '') || 'photo'}-clean.${extension}`;
    const url = URL.createObjectURL(blob);
    Object.assign(document.createElement('a'), {href: url, download: saved}).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    if (picture === mine) say(`Saved as ${saved}.`);
  } catch (failure) {
    // A worker that has died keeps the samples that were handed over to it.
    mine.after = failure.data ?? (clean.length > 0 ? clean : null);
    if (picture !== mine) return;
    explain(failure);
    again.hidden = mine.after !== null;
  }
  if (picture === mine) savePng.disabled = saveJpeg.disabled = mine.after === null;
}

// --- Events ------------------------------------------------------------------------------------------------------

fileInput.addEventListener('change', () => { if (fileInput.files[0]) open(fileInput.files[0]); });
cancel.addEventListener('click', () => picture?.controller.abort());
again.addEventListener('click', startAgain);
other.addEventListener('click', () => { close(); fileInput.click(); });
savePng.addEventListener('click', () => save('image/png', 'png'));
saveJpeg.addEventListener('click', () => save('image/jpeg', 'jpg'));
zoom.addEventListener('click', () => setActual(!viewer.actual));
viewer.onZoom = (x, y) => setActual(true, x, y);
compare.addEventListener('input', () => {
  placed = true;
  tellCompare();
  viewer.setPlace(Number(compare.value));
});
strength.addEventListener('input', () => {
  strengthValue.value = `${strength.value} %`;
  strength.setAttribute('aria-valuetext', strengthValue.value);
  viewer.setStrength(strength.value / 100);
});
strength.dispatchEvent(new Event('input'));

addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !running.hidden) picture?.controller.abort();
});
addEventListener('paste', (event) => {
  const file = event.clipboardData?.files[0];
  if (file) open(file);
});
const dragsFile = (event) => event.dataTransfer?.types.includes('Files');
addEventListener('dragover', (event) => {
  if (!dragsFile(event)) return;
  event.preventDefault();
  document.body.classList.add('dragging');
});
addEventListener('dragleave', (event) => { if (!event.relatedTarget) document.body.classList.remove('dragging'); });
addEventListener('drop', (event) => {
  document.body.classList.remove('dragging');
  if (!dragsFile(event)) return;
  event.preventDefault();
  const file = event.dataTransfer.files[0];  // none if it is a folder, say
  if (file) open(file);
});

notStarted.hidden = true;
fileInput.disabled = false;
loadModel();
isolate();
