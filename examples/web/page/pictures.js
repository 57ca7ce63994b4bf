// Files to pixels and back. The page calls these in a worker where it can (pictures-worker.js).

/** A failure that the page explains: `reason` says which. */
export class PictureError extends Error {
  constructor(reason, details = {}) {
    super(reason);
    this.reason = reason;
    this.details = details;
  }
}

function createCanvas(width, height) {
  if (typeof OffscreenCanvas === 'function') return new OffscreenCanvas(width, height);
  return Object.assign(document.createElement('canvas'), {width, height});
}

// Does not wait for the collector of garbage.
function release(context) {
  context.canvas.width = context.canvas.height = 0;
}

// Browsers limit the size of canvases, and draw nothing on one that is larger.
function contextOf(width, height) {
  const context = createCanvas(width, height).getContext('2d', {willReadFrequently: true});
  let works = false;
  try {
    context.fillRect(width - 1, height - 1, 1, 1);
    works = context.getImageData(width - 1, height - 1, 1, 1).data[3] === 255;
    context.clearRect(width - 1, height - 1, 1, 1);
  } catch {
    // As below.
  }
  if (!works) throw new PictureError('too-large', {width, height});
  return context;
}

// Most photographs have no transparency, and go without their alpha: that is less memory, and less to compute.
function withoutNeedlessAlpha(rgba) {
  for (let i = 3; i < rgba.length; i += 4) {
    if (rgba[i] !== 255) return {channels: 4, data: rgba};
  }
  const rgb = new Uint8ClampedArray(rgba.length / 4 * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
  return {channels: 3, data: rgb};
}

/** Samples of three or four channels for a canvas. */
export function toImageData({width, height, channels, data}) {
  if (channels === 4) return new ImageData(data, width, height);
  const image = new ImageData(width, height);
  const rgba = image.data;
  for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
    rgba[to] = data[from];
    rgba[to + 1] = data[from + 1];
    rgba[to + 2] = data[from + 2];
    rgba[to + 3] = 255;
  }
  return image;
}

/** The right way up and in sRGB, which the network has learned: an ImageBitmap to show, and RGB or RGBA samples. */
export async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {imageOrientation: 'from-image'});
  } catch {
    throw new PictureError('not-decoded');
  }
  const {width, height} = bitmap;
  const context = contextOf(width, height);
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  release(context);
  return {width, height, bitmap, ...withoutNeedlessAlpha(rgba)};
}

/**
 * A file of `type` with the clean samples `data`, or, for a strength below 1, with as much of the change to the picture
 * in `file`. JPEG has no transparency: what is transparent becomes white.
 */
export async function encode({file, width, height, channels, data, strength, type}) {
  const context = contextOf(width, height);
  let samples = data;
  if (strength < 1) {
    const before = await decode(file);
    before.bitmap.close();
    samples = before.data;
    for (let i = 0; i < samples.length; ++i) samples[i] += strength * (data[i] - samples[i]);  // rounds
  }
  context.putImageData(toImageData({width, height, channels, data: samples}), 0, 0);
  if (type === 'image/jpeg' && channels === 4) {
    context.globalCompositeOperation = 'destination-over';
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
  }
  const {canvas} = context;
  const options = {type, quality: 0.95};
  const blob = canvas.convertToBlob ? await canvas.convertToBlob(options) :
      await new Promise((resolve) => canvas.toBlob(resolve, options.type, options.quality));
  release(context);
  if (!blob || blob.type !== type) throw new PictureError('not-encoded', {type});
  return {blob, data};
}
