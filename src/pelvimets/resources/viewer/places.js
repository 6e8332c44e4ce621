// Places of the patient in an image. A prior study lies elsewhere in the scanner: its images carry
// the rigid motion (4 x 4, row by row, RAS mm) from this study's places to their own.

function moved(matrix, [x, y, z]) {
  return [0, 1, 2].map((row) => matrix[row][0] * x + matrix[row][1] * y + matrix[row][2] * z + matrix[row][3]);
}

export const toPanel = (image, mm) => (image?.transform ? moved(image.transform, mm) : mm);

// The way back: the rotation is turned over, as a rigid motion has no scale.
export function toPatient(image, mm) {
  if (!image?.transform) return mm;
  const { transform: m } = image, [x, y, z] = mm.map((value, axis) => value - m[axis][3]);
  return [0, 1, 2].map((column) => m[0][column] * x + m[1][column] * y + m[2][column] * z);
}
