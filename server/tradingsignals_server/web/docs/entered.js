/** What the hash of the page and the fields of a call say, as far as it can be understood. */

/** Return the id that a hash names; a hash that is malformed names itself. */
export function idOf(hash) {
  const text = hash.replace(/^#/, "");
  try { return decodeURIComponent(text); } catch { return text; }
}

/** Read the text of a body; undefined if it is empty. Throws an Error with the problem if it is no JSON, or has a number that no double holds. */
export function bodyOf(text) {
  if (!text?.trim()) return undefined;
  return JSON.parse(text, (name, value) => {
    if (value === Infinity || value === -Infinity) throw new RangeError(`the number${name ? ` at \u201c${name}\u201d` : ""} is too large`);
    return value;
  });
}

/** Return why a value cannot be sent within a path; "" if it can be. Browsers take `.` and `..` for steps between paths, escaped ones too. */
export const pathProblem = (name, value) => (/^\.{1,2}$/.test(value) ? `${name} cannot be \u201c${value}\u201d: it would call another path` : "");
