/** Return why a text cannot be a key; "" if it can be one. Headers carry only visible ASCII without spaces. The dashboard checks the same. */
export function keyProblem(text) {
  const wrong = [...text].find((character) => !/^[\x21-\x7e]$/.test(character));
  if (wrong === undefined) return "";
  const name = /\s/.test(wrong) ? "a space or a line break" : /^\p{C}$/u.test(wrong) ? "a character that is not visible" : `\u201c${wrong}\u201d`;
  return `This is not a key: it contains ${name}. A key has only letters A\u2013Z, digits and signs such as _ - and .`;
}
