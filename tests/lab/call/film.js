/**
 * The clip that every contender's camera plays: textured, moving, and with noise of its own in each picture, so that no codec can say
 * it by saying how the one before it moved. Pure; run in Node for the native client's file, and in the page as it stands.
 *
 * @param {{width: number, height: number, frames: number, seed: number}} film @returns {Uint8Array[]} I420 pictures
 */
function makeFilm({ width, height, frames, seed }) {
  let state = seed >>> 0 || 1;
  const random = () => {
    state = Math.imul(state, 1_664_525) + 1_013_904_223 >>> 0;
    return state >>> 24;
  };
  const [wide, high] = [width + 256, height + 256];
  const coarse = Uint8Array.from({ length: (wide >> 3) * (high >> 3) + 1 }, random);
  const texture = new Uint8Array(wide * high);
  for (let y = 0; y < high; y += 1) {
    for (let x = 0; x < wide; x += 1) texture[y * wide + x] = 70 + (coarse[(y >> 3) * (wide >> 3) + (x >> 3)] >> 2) + (x * 3 ^ y * 5) % 32;
  }
  // A prime length: no two pictures have the same noise at the same place.
  const noise = Uint8Array.from({ length: 65_521 }, () => random() >> 4);
  return Array.from({ length: frames }, (_, number) => {
    const picture = new Uint8Array(width * height * 3 / 2).fill(128);
    const [left, top] = [128 + Math.round(100 * Math.sin(2 * Math.PI * number / frames)), 128 + Math.round(60 * Math.cos(2 * Math.PI * number / frames))];
    let grain = number * 9_973 % noise.length;
    for (let y = 0; y < height; y += 1) {
      const from = (y + top) * wide + left;
      for (let x = 0; x < width; x += 1) {
        picture[y * width + x] = texture[from + x] + noise[grain];
        grain = grain + 1 === noise.length ? 0 : grain + 1;
      }
    }
    return picture;
  });
}
