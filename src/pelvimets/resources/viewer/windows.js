// Grey windows. MR has no absolute scale, so presets are shares of the image's own values;
// an ADC map has one (um2/s).

const SHARES = {
  auto: { title: "Auto", low: 0.01, high: 0.995 },
  bright: { title: "Bright lesions", low: 0.3, high: 0.9995 },
  bone: { title: "Bone", low: 0.02, high: 0.93 },
  full: { title: "Full range", low: 0, high: 1 },
};
const ADC = {
  auto: { title: "0 to 2500", range: [0, 2500] },
  low: { title: "0 to 1500", range: [0, 1500] },
  full: { title: "0 to 3500", range: [0, 3500] },
};
const LARGEST_SAMPLE = 200000;

export const presetsFor = (key) => (key.endsWith("adc") ? ADC : SHARES);

// Sorted sample of an image's values inside the patient, for shares of them.
export function sampled(values, slope, intercept) {
  const step = Math.max(1, Math.floor(values.length / LARGEST_SAMPLE));
  const sample = new Float32Array(Math.ceil(values.length / step));
  for (let i = 0, j = 0; i < values.length; i += step, j += 1) sample[j] = values[i] * slope + intercept;
  return sample.sort();
}

export function rangeOf(preset, sample) {
  if (preset.range) return preset.range;
  const at = (share) => sample[Math.min(sample.length - 1, Math.round(share * (sample.length - 1)))];
  const low = at(preset.low);
  return [low, Math.max(at(preset.high), low + 1e-6)];
}

// A drag as readers know it: right widens, down raises the level.
export function dragged([low, high], dx, dy, span) {
  const width = Math.max((high - low) + dx * span / 400, span / 5000);
  const level = (low + high) / 2 + dy * span / 400;
  return [level - width / 2, level + width / 2];
}
